"""Requests run together: joined along their first dim, answers split back.

Only where every input and every output of the model has one symbol as its first dim and that symbol stands nowhere
else. What a model does with the rows of a batch is its own affair: `rows_are_independent` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from partwise.errors import InputError
from partwise.ir.dims import names_in, parse
from partwise.packaging import Manifest, Package
from partwise.packaging.arrays import own
from partwise.runtime.executors import Executor
from partwise.runtime.random_inputs import random_inputs

__all__ = ["batch_symbol", "check_rows", "join", "split"]

_TOLERANCE = 1e-3
"""Of the largest value: kernels of other batches round otherwise (1e-6 for float32, 1e-3 for half types, assumed);
rows that see each other differ by the size of the values themselves."""


def batch_symbol(manifest: Manifest) -> str | None:
    """The symbol along which requests can be joined; None where there is none."""
    found = {port.tensor: port.shape for segment in manifest.segments for port in segment.outputs}
    inputs = [port.shape for port in manifest.inputs]
    outputs = [found.get(output.tensor) for output in manifest.outputs]
    first = inputs[0][0] if inputs and inputs[0] else None
    if not isinstance(first, str) or first not in {symbol.name for symbol in manifest.symbols}:
        return None
    fits = all(shape and shape[0] == first for shape in (*inputs, *outputs))
    others = (dim for shape in (*inputs, *outputs) for dim in (shape or ())[1:] if isinstance(dim, str))
    return first if fits and all(first not in names_in(parse(dim)) for dim in others) else None


def join(requests: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows of several requests as one: for each input one array, in memory of our own."""
    return {name: own(np.concatenate([request[name] for request in requests])) for name in requests[0]}


def split(outputs: Mapping[str, np.ndarray], rows: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """The outputs of a batch, back to those who sent so many rows each."""
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for end, count in zip(ends.tolist(), rows, strict=True)
    ]


def check_rows(package: Package, executor: Executor, symbol: str) -> None:
    """Raise unless a request's answer stays the same, but for rounding, when another is run beside it.

    Two seeded random requests, of one and of two rows, are run alone and together.

    Raises:
        InputError: it does not: the model looks across the rows of a batch.
    """
    graph = package.graph()
    one, two = (random_inputs(package.manifest, graph, {symbol: rows}, seed=rows) for rows in (1, 2))
    alone, beside, together = (answer.outputs for answer in executor.run([one, two, join([one, two])]))
    for mine, found in zip((alone, beside), split(together, (1, 2)), strict=True):
        for name, value in mine.items():
            if not _agree(value, found[name]):
                raise InputError("--max-batch", f"rows of one batch change each other's `{name}`", expected=1,
                                 hint="such a model is served one request at a time.")  # fmt: skip


def _agree(alone: np.ndarray, together: np.ndarray) -> bool:
    if alone.dtype.kind in "biu":
        return np.array_equal(alone, together)
    wide = np.complex128 if alone.dtype.kind == "c" else np.float64
    first, second = alone.astype(wide), together.astype(wide)
    largest = float(np.max(np.abs(first), initial=0.0, where=np.isfinite(first)))
    return np.allclose(first, second, rtol=0, atol=_TOLERANCE * largest, equal_nan=True)
