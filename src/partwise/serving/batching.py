"""Requests run together: joined along their first dim, answers split back.

Only where every input and every output of the model has one symbol as its first dim and that symbol stands nowhere
else. What a model does with the rows of a batch is its own affair: `checks.check_rows` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from partwise.ir.dims import names_in, parse
from partwise.packaging import Manifest
from partwise.packaging.arrays import own

__all__ = ["batch_symbol", "join", "split"]


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
