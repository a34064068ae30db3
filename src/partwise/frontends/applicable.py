"""What each kind of model takes of the options of a capture; what does not apply to it is refused, never ignored."""

from __future__ import annotations

from dataclasses import dataclass, fields

from partwise.errors import InputError
from partwise.frontends.source import CaptureOptions
from partwise.ir import Graph
from partwise.ir.dims import evaluate_shape

__all__ = [
    "EXPORTED", "FUNCTION", "HUGGINGFACE", "ONNX", "SAVED", "WEIGHTS", "Kind", "refuse_other_options",
    "refuse_other_sizes",
]  # fmt: skip

SIZES = ("batch", "sequence", "image_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of model."""

    name: str
    """With its article."""
    takes: frozenset[str]
    """Fields of `CaptureOptions`; all take the others of them (example inputs, weights, room for K/V)."""


_CHOICES = frozenset({*SIZES, "dtype", "task", "static", "optimize", "config", "module"})
"""Fields that some kinds take and others have no use for."""
_BUILT = frozenset({*SIZES, "static"})
ONNX = Kind(name="an ONNX file", takes=_BUILT | {"optimize"})
HUGGINGFACE = Kind(name="a model of transformers", takes=_BUILT | {"dtype", "task"})
WEIGHTS = Kind(name="a file of weights", takes=HUGGINGFACE.takes | {"config", "module"})
FUNCTION = Kind(name="a module that your code builds", takes=_BUILT)
SAVED = Kind(name="a saved graph", takes=frozenset({"batch", "sequence"}))
EXPORTED = Kind(name="a .pt2, exported before", takes=frozenset({"batch", "sequence"}))


def refuse_other_options(model: str, kind: Kind, options: CaptureOptions) -> None:
    """Raise where something is asked for that does not apply to this kind of model.

    Raises:
        InputError: the first such option, and what this kind takes.
    """
    usual = CaptureOptions()
    for field in fields(CaptureOptions):
        given = getattr(options, field.name)
        if field.name in _CHOICES - kind.takes and given != getattr(usual, field.name):
            known = ", ".join(_option(f.name) for f in fields(CaptureOptions) if f.name in kind.takes)
            raise InputError(model, f"is {kind.name}, to which {_option(field.name)} does not apply", got=given,
                             hint=f"it takes {known} and --no-weights.")  # fmt: skip


def refuse_other_sizes(graph: Graph, options: CaptureOptions) -> None:
    """Raise where a size is asked for that the graph does not have: no symbol, and no dim of its inputs.

    A model of transformers takes every size that it has a use for; one that it has none for (the sequence of a model
    of images) changes nothing, so that the same options do for many models.

    Raises:
        InputError: the size, and the symbols that there are.
    """
    settings, dims = dict(graph.settings), _input_sizes(graph)
    for name in SIZES:
        asked = getattr(options, name)
        is_useless = name in settings and settings[name] is None
        is_had = name in graph.hints or settings.get(name) == asked or asked in dims
        if asked is not None and not is_useless and not is_had:
            known = ", ".join(graph.hints) or "none"
            raise InputError(_option(name), f"is no size that `{graph.name}` has", got=asked,
                             expected=f"one of its symbols: {known}; or a size of its inputs")  # fmt: skip


def _input_sizes(graph: Graph) -> set[int]:
    shapes = [graph.spec[name].shape for name in graph.inputs]
    return {size for shape in shapes if shape is not None for size in evaluate_shape(shape, graph.hints)}


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"
