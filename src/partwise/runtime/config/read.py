"""A configuration from YAML: every key is one that is known, and a misspelt one names the nearest."""

from __future__ import annotations

from dataclasses import is_dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from partwise.errors import InputError
from partwise.runtime.config.schema import CONFIG_VERSION, Config
from partwise.runtime.schedule import Policy
from partwise.strict_yaml import yaml_value

__all__ = ["parse_config", "read_config"]

_MAX_BYTES = 1 << 20


def read_config(path: Path, policy: Policy | None = None) -> Config:
    """A configuration from a file.

    Args:
        path: of the file.
        policy: figures of `faults` where the file has the section and not the figure; by default `Policy`'s own.

    Raises:
        InputError: no such file, no YAML, an unknown key or a value that its key does not take.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(str(path), "is too large for a configuration", expected=f"at most {_MAX_BYTES} bytes")
        return parse_config(path.read_bytes(), str(path), policy)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from None


def parse_config(data: bytes, subject: str, policy: Policy | None = None) -> Config:
    """The same from bytes; `subject` is what an error is about."""
    given = yaml_value(data, subject)
    if not isinstance(given, dict):
        raise InputError(subject, "holds no sections", expected=f"version: {CONFIG_VERSION}, and sections")
    known = cast(dict[Any, Any], given)
    version = known.get("version")
    if version != CONFIG_VERSION:
        got = version if isinstance(version, str) else type(version).__name__  # never shown: YAML's aliases may grow
        raise InputError(subject, "is of another version", expected=f"version: {CONFIG_VERSION}", got=got)
    _refuse_unknown(known, Config, subject, "")
    faults = known.get("faults")
    if isinstance(faults, dict):
        known["faults"] = {**msgspec.to_builtins(policy or Policy()), **cast(dict[Any, Any], faults)}
    try:
        return msgspec.convert(_without_empty(known), Config)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        path = place.rstrip("`")
        raise InputError(f"{subject}, {path or 'file'}", what[:1].lower() + what[1:], hint=_words(path)) from None


def _without_empty(given: dict[Any, Any]) -> dict[Any, Any]:
    """A section whose keys are all commented out is none."""
    return {name: value for name, value in given.items() if value is not None}


def _refuse_unknown(given: dict[Any, Any], kind: type[Any], subject: str, path: str) -> None:
    fields = get_type_hints(kind)
    for name, value in given.items():
        if name not in fields:
            near = get_close_matches(str(name), fields, n=1, cutoff=0.5)
            hint = f"did you mean `{path}{near[0]}`?" if near else f"it may be one of: {', '.join(fields)}."
            raise InputError(f"{subject}, {path}{name}", "is no key that is known", hint=hint)
        inner: list[Any] = [fields[name], *get_args(fields[name])]
        section = next((one for one in inner if _is_section(one)), None)
        if section is not None and isinstance(value, dict):
            _refuse_unknown(cast(dict[Any, Any], value), section, subject, f"{path}{name}.")


def _words(path: str) -> str:
    """What a key takes that takes one of a few words."""
    kind: Any = Config
    for name in path.split("."):
        hints = get_type_hints(kind) if _is_section(kind) else {}
        kind = next((one for one in get_args(hints.get(name)) if _is_section(one)), hints.get(name))
    several = [word for one in (kind, *get_args(kind)) for word in _choices(one)]
    return f"one of: {', '.join(several)}." if several else ""


def _choices(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(kind)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or is_dataclass(cast(Any, kind)))
