"""Sizes: the symbols that an ONNX model's inputs name, and its dimension texts in our arithmetic."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import partwise.ir as ir
from partwise.errors import GraphError
from partwise.frontends.onnx.examples import example_shapes
from partwise.frontends.source import CaptureOptions
from partwise.ir.dims import parse, symbols_of

__all__ = ["Sizes", "read_sizes"]

_BATCH = re.compile(r"batch|batch_?size|bs|b|n", re.IGNORECASE)
_SEQUENCE = re.compile(r"seq|seq_?len|seq_?length|sequence|sequence_?length|s|l", re.IGNORECASE)
_NAMELESS = re.compile(r"|\?|none|unknown|unk__\d+|s\d+|dim_?\d*|dynamic\w*", re.IGNORECASE)
"""What exporters write when nobody gave a name."""
_NUMBERED = re.compile(r"s\d+")
"""What torch's exporter writes when nobody gave a name: other numbers are other sizes."""
_DEFAULT_BATCH, _DEFAULT_SEQUENCE, _DEFAULT_IMAGE = 1, 16, 224


@dataclass(slots=True)
class Sizes:
    """The symbols of a model and what its file calls them."""

    symbols: dict[str, ir.Symbol] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The file's dimension name -> our expression."""
    dtypes: dict[str, ir.DType] = field(default_factory=dict)
    """Element type of each input, in the model's order."""
    inputs: dict[str, tuple[ir.Dim, ...]] = field(default_factory=dict)
    """Shape of each input; one without a shape is absent."""

    @property
    def specs(self) -> dict[str, ir.TensorSpec]:
        """The inputs' specifications."""
        both = ((name, dtype, self.inputs.get(name)) for name, dtype in self.dtypes.items())
        return {name: ir.TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in both}

    def translate(self, dim: int | str | None) -> ir.Dim | None:
        """A dimension of the file over our symbols; None where it names anything else."""
        if dim is None or isinstance(dim, int):
            return dim if dim is None or dim >= 0 else None
        if dim in self.names:
            return self.names[dim]
        return _expression(dim, self.names)


def read_sizes(inputs: Sequence[tuple[str, ir.DType, Sequence[int | str] | None]], options: CaptureOptions) -> Sizes:
    """The symbols of a model's inputs.

    A dimension keeps the name that the file gives it; `batch` and `sequence` in other spellings get these names,
    and so do nameless ones where their place is obvious: the first dim, and the second of token ids and masks.

    Args:
        inputs: (name, type, dims) of each; None for an unknown rank.
        options: asked-for sizes; examples outrank the others.
    """
    sizes, examples = Sizes(), example_shapes(options, [name for name, _, _ in inputs])
    for name, dtype, dims in inputs:
        sizes.dtypes[name] = dtype
        if dims is None and name in examples:
            dims = [""] * len(examples[name])
        if dims is not None:
            shape = tuple(_dim(sizes, name, dtype, dims, place, options, examples) for place in range(len(dims)))
            sizes.inputs[name] = shape
    for name, symbol in sizes.symbols.items():
        shape = examples.get(symbol.input or "", ())
        given = shape[symbol.dim] if symbol.dim is not None and symbol.dim < len(shape) else None
        sizes.symbols[name] = replace(symbol, hint=given or symbol.hint)
    return sizes


def _dim(
    sizes: Sizes,
    name: str,
    dtype: ir.DType,
    dims: Sequence[int | str],
    place: int,
    options: CaptureOptions,
    examples: Mapping[str, tuple[int, ...]],
) -> ir.Dim:
    dim = dims[place]
    if isinstance(dim, int):
        return dim
    known = sizes.translate(dim) if dim else None
    if known is not None:
        return known
    symbol = _role(dim, dtype, len(dims), place)
    if symbol is None or not _may_be(sizes.symbols.get(symbol), dim, name, place, examples):
        symbol = _own_name(dim, f"{name}_{place}", sizes)
    image = dtype.is_float and len(dims) >= 4 and place >= len(dims) - 2
    hint = (options.image_size or _DEFAULT_IMAGE) if image else _default(symbol, options)
    sizes.symbols.setdefault(symbol, ir.Symbol(name=symbol, hint=hint, input=name, dim=place))
    if dim:
        sizes.names[dim] = symbol
    return symbol


def _may_be(symbol: ir.Symbol | None, dim: str, name: str, place: int, examples: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a dim of this name may be a symbol: one that is new, or, without a name, one whose example is alike."""
    if symbol is None or not _NAMELESS.fullmatch(dim) or _NUMBERED.fullmatch(dim):
        return symbol is None
    here, there = examples.get(name, ())[place:], examples.get(symbol.input or "", ())[symbol.dim or 0 :]
    return not here or not there or here[0] == there[0]


def _own_name(dim: str, place: str, sizes: Sizes) -> str:
    """The file's name as an identifier; the place's where there is none or it is taken."""
    name = _identifier(place if _NAMELESS.fullmatch(dim) else dim)
    return _identifier(place) if name in sizes.symbols else name


def _role(dim: str, dtype: ir.DType, rank: int, place: int) -> str | None:
    if (_BATCH.fullmatch(dim) and (place == 0 or len(dim) > 1)) or (place == 0 and _NAMELESS.fullmatch(dim)):
        return "batch"
    text = rank == 2 and place == 1 and not dtype.is_float
    if _SEQUENCE.fullmatch(dim) or (text and _NAMELESS.fullmatch(dim)):
        return "sequence"
    return None


def _default(symbol: str, options: CaptureOptions) -> int:
    if symbol == "batch":
        return options.batch or _DEFAULT_BATCH
    return options.sequence or _DEFAULT_SEQUENCE


def _expression(text: str, names: Mapping[str, str]) -> str | None:
    """A text such as `2*s0` or `Min(64, sequence)` over our symbols; None if it is no such thing."""
    spelled = re.sub(r"\bM(in|ax)\(", r"m\1(", text)
    try:
        parse(spelled)
        found = symbols_of(spelled)
    except GraphError:
        return None
    if not found or not found <= names.keys():
        return None
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda match: names.get(match[0], match[0]), spelled)


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text).strip("_") or "size"
    return f"size_{name}" if name[0].isdigit() or keyword.iskeyword(name) or name in ("min", "max") else name
