"""Inputs out of nothing: seeded random values that fit a model's interface.

Floats are standard normal; booleans, and whatever is called a mask, are all true; integers that choose a row of a
table stay within the smallest table they choose from; other integers are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from partwise.errors import InputError
from partwise.ir import DType, Graph, Kind, Node, Ref, operator
from partwise.ir.dims import evaluate_shape
from partwise.packaging import Manifest, Port
from partwise.packaging.arrays import numpy_dtype

__all__ = ["chosen_sizes", "random_inputs", "table_rows"]

_TABLES = frozenset({"aten.embedding.default", "onnx.Gather"})
"""Operators whose second argument chooses rows of their first."""
_FOLLOWED = frozenset({"aten._to_copy.default", "aten.clone.default", "aten.contiguous.default", "onnx.Cast"})
"""Operators that hand on the numbers they are given; so do views."""
_PLACES = ("position", "logits_at")
"""Inputs of a graph with a cache (docs/capture.md) that say where its tokens go and whose logits it gives."""


def random_inputs(
    manifest: Manifest, graph: Graph | None, sizes: Mapping[str, int], seed: int
) -> dict[str, np.ndarray]:
    """A value for each input of a model.

    Args:
        manifest: whose inputs.
        graph: the uncut graph, where it is at hand: it says which integers choose rows of how large a table.
        sizes: values of the model's symbols; the others keep those of the capture.
        seed: of numpy's default generator.

    Raises:
        InputError: a symbol that the model does not have, a type that numbers cannot fill, or no memory.
    """
    known = chosen_sizes(manifest, sizes)
    rows = table_rows(graph) if graph is not None else {}
    generator = np.random.default_rng(seed)
    return {port.tensor: _value(port, known, rows.get(port.tensor), generator) for port in manifest.inputs}


def chosen_sizes(manifest: Manifest, sizes: Mapping[str, int]) -> dict[str, int]:
    """The value of every symbol: those given, and those of the capture for the rest.

    Raises:
        InputError: a symbol that the model does not have, or a size below 1.
    """
    known = {symbol.name: symbol.hint for symbol in manifest.symbols}
    for name, size in sizes.items():
        if name not in known:
            free = ", ".join(known) or "none: every size was fixed when it was captured"
            raise InputError(f"size `{name}`", "is not one that this model leaves open", expected=free)
        if size < 1:
            raise InputError(f"size `{name}`", "must be at least 1", got=size)
    return known | dict(sizes)


def table_rows(graph: Graph) -> dict[str, int]:
    """For each input whose integers choose rows of a table: how many rows the smallest such table has.

    Where K/V are written, the places are the first ones: any others may lie beyond the buffers, or the tokens.
    """
    origin = {name: name for name in graph.inputs}
    found: dict[str, int] = dict.fromkeys(_PLACES, 1) if graph.writes else {}
    for node in graph.nodes:
        if node.op in _TABLES:
            _note_table(graph, node, origin, found)
        elif node.op in _FOLLOWED or operator(node.op).kind is Kind.VIEW:
            source = origin.get(next(iter(node.inputs), ""))
            if source is not None:
                origin[node.name] = source
    return found


def _note_table(graph: Graph, node: Node, origin: Mapping[str, str], found: dict[str, int]) -> None:
    match node.args[:2]:
        case (Ref(table), Ref(index)) if index in origin:
            shape = graph.spec[table].shape
            if shape and isinstance(shape[0], int):
                found[origin[index]] = min(shape[0], found.get(origin[index], shape[0]))
        case _:
            pass


def _value(port: Port, sizes: Mapping[str, int], rows: int | None, generator: np.random.Generator) -> np.ndarray:
    if port.shape is None or port.dtype in (DType.STRING, DType.OPAQUE):
        hint = "give it with --input; cut with --no-check, then verify with an input of your own."
        raise InputError(f"input `{port.tensor}`", "cannot be made up", got=f"{port.dtype} of any shape", hint=hint)
    shape, dtype = evaluate_shape(port.shape, sizes), numpy_dtype(port.dtype)
    try:
        if port.dtype.is_float:
            return _normal(shape, dtype, generator)
        if port.dtype is DType.BOOL or (rows is None and "mask" in port.tensor.lower()):
            return np.ones(shape, dtype)
        return generator.integers(0, 2 if rows is None else max(1, rows), shape).astype(dtype)
    except (MemoryError, ValueError):
        raise InputError(f"input `{port.tensor}`", "is too large to be made", got=f"{prod(shape)} elements") from None


def _normal(shape: tuple[int, ...], dtype: np.dtype[np.generic], generator: np.random.Generator) -> np.ndarray:
    real = generator.standard_normal(shape)
    return (real + 1j * generator.standard_normal(shape) if dtype.kind == "c" else real).astype(dtype)
