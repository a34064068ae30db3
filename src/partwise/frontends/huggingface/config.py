"""Read a `config.json` as data from a stranger: nothing that it names is imported, fetched or executed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.errors import ModelError, UnsafeFileError
from partwise.extras import require
from partwise.frontends.huggingface.quiet import quiet
from partwise.frontends.untrusted import as_dict, as_list
from partwise.ir import DType

__all__ = ["ModelConfig", "read_config"]

_MAX_BYTES = 16 << 20
"""The largest config on the hub is about 1 MB (label names); more is no config."""
_DROPPED = frozenset(
    "auto_map quantization_config fusion_config transformers_weights attn_implementation _attn_implementation "
    "_attn_implementation_internal experts_implementation _experts_implementation kernel_config use_kernels "
    "distributed_config name_or_path _name_or_path _commit_hash use_cache".split()
)
"""Keys that make transformers import code, fetch kernels, open other files or keep a cache: never passed on."""
_TAGGED = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_CUSTOM_CODE = (
    "custom code is never executed; convert the model to an architecture that transformers has, or build it "
    "yourself and pass package.module:function."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A config as transformers understands it, and what was kept from it."""

    config: Any
    """`transformers.PreTrainedConfig`, caches switched off throughout."""
    architectures: tuple[str, ...]
    custom_code: bool
    """It names classes of its own (`auto_map`)."""
    quantization: dict[str, Any] | None
    """`quantization_config`: how its checkpoint is stored."""
    subject: str
    """What errors are about: the path or name that the user gave."""

    @property
    def dtype(self) -> str | None:
        """The type of the weights that the config states."""
        found = getattr(self.config, "dtype", None)
        if found is None and hasattr(self.config, "get_text_config"):
            found = getattr(self.config.get_text_config(), "dtype", None)
        return None if found is None else str(found).removeprefix("torch.")


def read_config(path: Path, subject: str = "") -> ModelConfig:
    """The config in a file.

    Args:
        path: a `config.json`.
        subject: the name that errors use; the path by default.

    Raises:
        ModelError: no JSON object, or no model type that transformers has.
        UnsafeFileError: it needs code of its own.
    """
    data = _read(path)
    return from_data(data, subject or str(path))


def from_data(data: dict[str, Any], subject: str) -> ModelConfig:
    """The config in a JSON object."""
    architectures = tuple(str(name) for name in as_list(data.get("architectures")))
    custom = any("auto_map" in level for level in _levels(data))
    _check_dtypes(data, subject)
    config = _build(_clean(data), architectures, custom, subject)
    _switch_off_caches(config)
    found = (as_dict(level.get("quantization_config")) for level in _levels(data))
    quantization = next((settings for settings in found if settings), None)
    return ModelConfig(
        config=config, architectures=architectures, custom_code=custom, quantization=quantization, subject=subject
    )


def refuse_custom_code(subject: str, what: str) -> UnsafeFileError:
    """The error for a model that needs code of its own."""
    return UnsafeFileError(subject, what, hint=_CUSTOM_CODE)


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_BYTES:
        raise ModelError(str(path), "is too large for a config", expected=f"≤ {_MAX_BYTES} bytes")
    try:  # not read strictly: real configs hold Infinity (Mamba's `time_step_limit`) and keys that stand twice
        data: Any = json.loads(path.read_bytes(), object_hook=_tagged)
    except (ValueError, RecursionError) as error:
        raise ModelError(str(path), f"is no JSON ({error})") from None
    if not as_dict(data):
        raise ModelError(str(path), "is no config", expected="a JSON object", got=type(data).__name__)
    return data


def _tagged(data: dict[str, Any]) -> Any:
    """The float of `{"__float__": "Infinity"}`, transformers 5's way to save what JSON has no word for."""
    return _TAGGED.get(str(data["__float__"]), data) if list(data) == ["__float__"] else data


def _levels(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The object and all objects within it that are configs of parts."""
    yield data
    for key, value in data.items():
        if as_dict(value) and key.endswith("config"):
            yield from _levels(value)


def _clean(data: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in data.items() if key not in _DROPPED}
    for key, value in kept.items():
        if as_dict(value) and key.endswith("config"):
            kept[key] = _clean(value)
    if "use_pretrained_backbone" in kept:
        kept["use_pretrained_backbone"] = False  # building the model would fetch the backbone's weights
    return kept


def _check_dtypes(data: dict[str, Any], subject: str) -> None:
    for level in _levels(data):
        for key in ("dtype", "torch_dtype"):
            value = level.get(key)
            if value is not None and (not isinstance(value, str) or not _is_float(value)):
                raise ModelError(subject, f"`{key}` is no floating-point type", got=str(value)[:60])


def _is_float(name: str) -> bool:
    name = name.removeprefix("torch.")
    return any(name == kind.value and kind.is_float for kind in DType)


def _build(data: dict[str, Any], architectures: tuple[str, ...], custom: bool, subject: str) -> Any:
    kind = _config_class(data, architectures)
    if kind is None:
        model_type = data.get("model_type")
        if custom:
            raise refuse_custom_code(subject, f"its model type `{model_type}` is code of its own (auto_map)")
        hint = "is transformers new enough?" if model_type else 'add "model_type" to config.json.'
        raise ModelError(subject, "transformers has no model of this type", got=model_type, hint=hint)
    try:
        with quiet():
            return kind.from_dict(data)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ModelError(subject, f"its config does not fit {kind.__name__}: {text}") from error


def _config_class(data: dict[str, Any], architectures: tuple[str, ...]) -> Any:
    transformers = require("transformers")
    model_type = data.get("model_type")
    if isinstance(model_type, str) and model_type in transformers.CONFIG_MAPPING:
        return transformers.CONFIG_MAPPING[model_type]
    if model_type is not None:
        return None
    kinds: list[Any] = [getattr(transformers, name, None) for name in architectures]  # of 2019: no model type
    return next((kind.config_class for kind in kinds if getattr(kind, "config_class", None) is not None), None)


def _switch_off_caches(config: Any) -> None:
    """No growing K/V cache in any part: its objects cannot cross an export."""
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for key in getattr(config, "sub_configs", {}):
        if (part := getattr(config, key, None)) is not None:
            _switch_off_caches(part)
