"""Which class of transformers a config means: its `architectures`, any task head, or the bare model."""

from __future__ import annotations

from typing import Any

from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.huggingface.config import ModelConfig, refuse_custom_code
from partwise.frontends.untrusted import as_list

__all__ = ["model_class"]

_OTHER_FRAMEWORKS = ("TF", "Flax")


def model_class(source: ModelConfig, task: str | None = None) -> tuple[Any, tuple[str, ...]]:
    """The class to build, and what a reader should know about the choice.

    Args:
        source: the config.
        task: a class name that overrules the config.

    Raises:
        ModelError: no class of this name.
        UnsafeFileError: the class is code of the model's own.
    """
    names = (task,) if task else source.architectures
    for name in names:
        if found := _find(name):
            return found, _notes(source, found)
    if names and source.custom_code:
        raise refuse_custom_code(source.subject, f"its class `{names[0]}` is code of its own (auto_map)")
    if names:
        expected = f"one of {', '.join(_heads(source.config)) or 'the classes of transformers'}"
        raise ModelError(source.subject, "transformers has no such class", expected=expected, got=names[0])
    return _bare(source)


def _find(name: str) -> Any:
    """A model class by its exact name; anything else of transformers is not meant."""
    transformers = require("transformers")
    for prefix in ("", *_OTHER_FRAMEWORKS):
        found = getattr(transformers, name.removeprefix(prefix), None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    return None


def _notes(source: ModelConfig, found: Any) -> tuple[str, ...]:
    if not source.custom_code:
        return ()
    return (f"the config names code of its own (auto_map), which is not executed: transformers' {found.__name__} is",)


def _bare(source: ModelConfig) -> tuple[Any, tuple[str, ...]]:
    try:
        mapped: Any = require("transformers").MODEL_MAPPING[type(source.config)]
    except KeyError:
        hint = 'add "architectures": ["…"] to config.json.'
        raise ModelError(source.subject, "its config names no architecture", hint=hint) from None
    found = (as_list(mapped) or [mapped])[0]
    return found, (f"the config names no architecture: the model without a head, {found.__name__}, is taken",)


def _heads(config: Any) -> list[str]:
    """Classes of the same config, to choose from."""
    transformers = require("transformers")
    stem = type(config).__name__.removesuffix("Config")
    named = (name for name in dir(transformers) if name.startswith(stem))
    return sorted(name for name in named if name == f"{stem}Model" or "For" in name or "Head" in name)
