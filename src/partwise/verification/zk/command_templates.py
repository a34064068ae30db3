"""Argument templates of a program that proves: read from the caller's own file, checked before anything runs."""

from __future__ import annotations

import string
from pathlib import Path

import msgspec

from partwise.errors import InputError
from partwise.strict_yaml import yaml_value

__all__ = ["CommandTemplates", "parse_templates", "read_templates"]

_STEPS = {
    "setup": frozenset({"segment", "settings", "folder"}),
    "witness": frozenset({"folder", "inputs", "witness", "outputs"}),
    "prove": frozenset({"folder", "witness", "proof"}),
    "verify": frozenset({"keys", "sizes", "proof", "finding"}),
}


class CommandTemplates(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Argument lists with placeholders."""

    version: str
    setup: tuple[str, ...]
    witness: tuple[str, ...]
    prove: tuple[str, ...]
    verify: tuple[str, ...]


def read_templates(path: Path) -> CommandTemplates:
    """Templates from a file of the caller's, TOML or YAML by its name.

    Raises:
        InputError: it cannot be read, or `parse_templates` refuses it.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(str(path), "is no text", expected="templates as TOML or YAML") from None
    return parse_templates(text, str(path), is_yaml=path.suffix in (".yaml", ".yml"))


def parse_templates(text: str, subject: str, *, is_yaml: bool = False) -> CommandTemplates:
    """Templates from TOML or YAML.

    Raises:
        InputError: not of that form, or a template that leaves out what its step is about.
    """
    try:
        given = yaml_value(text, subject) if is_yaml else msgspec.toml.decode(text)
        found = msgspec.convert(given, CommandTemplates)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(
            subject, f"is no file of templates ({error})", expected="version, " + ", ".join(_STEPS)
        ) from None
    for step, names in _STEPS.items():
        template: tuple[str, ...] = getattr(found, step)
        try:
            parsed = [piece for part in template for piece in string.Formatter().parse(part)]
        except ValueError as error:
            raise InputError(f"{subject}: {step}", f"is no template ({error})", hint="a brace itself is {{.") from None
        if any(spec or conversion for _, _, spec, conversion in parsed):
            raise InputError(f"{subject}: {step}", "formats a placeholder", expected="names alone, as {folder}")
        used = frozenset(name for _, name, _, _ in parsed if name is not None)
        if used != names or not template[0].strip():
            raise InputError(f"{subject}: {step}", "has other placeholders", expected=sorted(names), got=sorted(used))
    return found
