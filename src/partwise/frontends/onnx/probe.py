"""Sizes that inference misses, seen by running the model at a few input sizes and fitting what was seen.

A dimension is fitted only by an expression that holds at every size tried; one that no such expression explains
is decided by the data, and becomes a symbol that no input carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.frontends.onnx.symbols import Sizes
from partwise.ir.dims import count, evaluate, evaluate_shape
from partwise.onnx_values import to_ort_value
from partwise.packaging.arrays import numpy_dtype

__all__ = ["Seen", "fit", "probe"]

_PROBE_BYTES = 1 << 32
"""Inputs larger than this are not made up for a probe. Assumed: the activations take a multiple of it."""
_STRIDES = (2, 4, 8, 16, 32, 64)
_DATA = (1,)
_OTHER_DATA = ((0, 1, 1), (1, 2, 3), (23, 17, 29))
"""Token ids, masks, sizes; a model that refuses one of them is probed without it."""
_IMAGE_STEP = 32  # down-sampling networks take multiples of this


@dataclass(frozen=True, slots=True)
class Seen:
    """What the runs showed."""

    shapes: dict[str, tuple[ir.Dim, ...]]
    symbols: tuple[ir.Symbol, ...] = ()
    """Sizes that the data decide."""
    notes: tuple[str, ...] = ()


Point = dict[str, int]


def probe(session: Any, shapes: Mapping[str, Sequence[ir.Dim | None] | None], sizes: Sizes) -> Seen:
    """Complete shapes.

    Args:
        session: the model with every value as an output.
        shapes: dims known so far by value; None for an unknown dim or rank.
        sizes: the symbols of the inputs.
    """
    unknown = {name: shape for name, shape in shapes.items() if shape is None or None in shape}
    if not unknown:
        return Seen({})
    points = list(_points(sizes))
    runs = [_run(session, list(unknown), sizes, point) for point in points]
    if runs[0] is None:
        return Seen({}, notes=(f"{len(unknown)} values have unknown sizes: a trial run at the sizes asked for failed",))
    seen = [(point, run) for point, run in zip(points, runs, strict=True) if run is not None]
    complete = len(seen) == len(points)
    for point in _uneven(sizes):
        if (run := _run(session, list(unknown), sizes, point)) is not None:
            seen.append((point, run))
    for point in dict.fromkeys((0, len(points) - 1)):  # of the last too: in a batch of 1 nothing differs from the rest
        for pattern in _OTHER_DATA:  # the same sizes again: what differs, the data decide
            if (again := _run(session, list(unknown), sizes, points[point], pattern)) is not None:
                seen.append((points[point], again))
    found, decided = dict[str, tuple[ir.Dim, ...]](), dict[tuple[int, ...], ir.Symbol]()
    for name, shape in unknown.items():
        observed = [(point, run[name]) for point, run in seen]
        if len({len(dims) for _, dims in observed}) == 1:
            found[name] = tuple(_dims(shape, observed, sizes, decided, complete))
    notes = (f"{len(decided)} sizes are decided by the data",) if decided else ()
    return Seen(found, tuple(decided.values()), notes)


def _dims(
    shape: Sequence[ir.Dim | None] | None,
    observed: list[tuple[Point, tuple[int, ...]]],
    sizes: Sizes,
    decided: dict[tuple[int, ...], ir.Symbol],
    complete: bool,
) -> Iterator[ir.Dim]:
    for place in range(len(observed[0][1])):
        known = shape[place] if shape is not None else None
        values = tuple(dims[place] for _, dims in observed)
        fitted = fit([point for point, _ in observed], values) if complete else None
        if known is not None or fitted is not None:
            yield known if known is not None else fitted or 0
        else:
            name = f"data_{len(decided)}"
            while name in sizes.symbols:
                name += "_"
            yield decided.setdefault(values, ir.Symbol(name=name, hint=values[0], input=None, dim=None)).name


def fit(points: Sequence[Point], values: Sequence[int]) -> ir.Dim | None:
    """The simplest expression over the symbols with these values at these points; None if there is none.

    Args:
        points: sizes tried: first the base, then one with each symbol changed alone, then all changed.
        values: of one dimension, at each point.
    """
    base, changed = points[0], points[1:]
    moved = [name for name in base if _alone(base, changed, values, name)]
    for candidate in _candidates(base, changed, values, moved):
        if all(evaluate(candidate, point) == value for point, value in zip(points, values, strict=True)):
            return candidate
    return None


def _alone(base: Point, changed: Sequence[Point], values: Sequence[int], name: str) -> bool:
    """Whether the value moves when this symbol alone is changed."""
    return any(
        value != values[0]
        for point, value in zip(changed, values[1:], strict=True)
        if [other for other in base if point[other] != base[other]] == [name]
    )


def _candidates(base: Point, changed: Sequence[Point], values: Sequence[int], moved: list[str]) -> Iterator[ir.Dim]:
    if not moved:
        yield values[0]
        return
    product = "*".join(moved)
    yield product
    size = evaluate(product, base)
    if size and values[0] % size == 0:
        yield f"{values[0] // size}*{product}"
    if len(moved) == 2:
        for one, other in (moved, moved[::-1]):
            yield f"{one} + {other} + {values[0] - base[one] - base[other]}".replace("+ -", "- ").removesuffix(" + 0")
    if len(moved) == 1:
        yield from _affine(base, changed, values, moved[0])


def _affine(base: Point, changed: Sequence[Point], values: Sequence[int], name: str) -> Iterator[str]:
    other, value = next((p[name], v) for p, v in zip(changed, values[1:], strict=True) if p[name] != base[name])
    slope, rest = divmod(value - values[0], other - base[name])
    if rest == 0:
        offset = values[0] - slope * base[name]
        scaled = name if slope == 1 else f"{slope}*{name}"
        yield f"{scaled} {'-' if offset < 0 else '+'} {abs(offset)}"
    for stride in _STRIDES:
        for offset in range(-stride, stride + 1):
            yield f"({name} {'-' if offset < 0 else '+'} {abs(offset)})//{stride}"
    for stride in _STRIDES:
        yield f"{stride}*({name}//{stride})"


def _points(sizes: Sizes) -> Iterator[Point]:
    base = {name: symbol.hint for name, symbol in sizes.symbols.items()}
    other = {name: _other(symbol, sizes) for name, symbol in sizes.symbols.items()}
    yield base
    yield from (base | {name: other[name]} for name in base)
    if len(base) > 1:
        yield other


def _uneven(sizes: Sizes) -> Iterator[Point]:
    """Sizes of images that no stride divides, for a model that takes them: there it rounds."""
    base = {name: symbol.hint for name, symbol in sizes.symbols.items()}
    uneven = {name: symbol.hint - 1 for name, symbol in sizes.symbols.items() if _is_side(symbol, sizes)}
    if uneven and min(uneven.values()) > 0:
        yield base | uneven


def _is_side(symbol: ir.Symbol, sizes: Sizes) -> bool:
    """Whether it is the height or the width of an image."""
    rank = len(sizes.inputs[symbol.input or ""])
    return rank >= 4 and symbol.dim is not None and symbol.dim >= rank - 2


def _other(symbol: ir.Symbol, sizes: Sizes) -> int:
    """Another size, rather smaller: a model may have a longest sequence."""
    if _is_side(symbol, sizes):
        return symbol.hint - _IMAGE_STEP if symbol.hint > 2 * _IMAGE_STEP else symbol.hint + _IMAGE_STEP
    return symbol.hint - 3 if symbol.hint > 4 else symbol.hint + 1


def _run(
    session: Any, names: list[str], sizes: Sizes, point: Point, pattern: tuple[int, ...] = _DATA
) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the values at these sizes; None where the model cannot run at them.

    Args:
        pattern: what the inputs hold, again and again.
    """
    arrays = dict[str, np.ndarray]()
    for name, dtype in sizes.dtypes.items():
        shape = sizes.inputs.get(name)
        if shape is None or count(shape, point) * dtype.bits > 8 * _PROBE_BYTES:
            return None
        arrays[name] = np.resize(np.array(pattern), evaluate_shape(shape, point)).astype(numpy_dtype(dtype))
    try:
        results = session.run_with_ort_values(names, {name: to_ort_value(array) for name, array in arrays.items()})
    except Exception:  # noqa: BLE001 - onnxruntime raises a dozen types of its own; all mean the same here
        return None
    return {name: tuple(result.shape()) for name, result in zip(names, results, strict=True)}
