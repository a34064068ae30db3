"""What is looked at once, before the first request: engines near enough, rows that leave each other alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from partwise.errors import InputError
from partwise.packaging import Package
from partwise.runtime.exactness import Exactness
from partwise.runtime.executors import Executor
from partwise.runtime.random_inputs import random_inputs
from partwise.serving.batching import join, split

__all__ = ["check_exact", "check_rows"]

_TOLERANCE = 1e-3
"""Of the largest value: kernels of other batches round otherwise (1e-6 for float32, 1e-3 for half types, assumed);
rows that see each other differ by the size of the values themselves."""


def check_rows(package: Package, executor: Executor, symbol: str) -> None:
    """Raise unless a request's answer stays the same, but for rounding, when another is run beside it.

    Two seeded random requests, of one and of two rows, are run alone and together.

    Raises:
        InputError: it does not: the model looks across the rows of a batch.
    """
    graph = package.graph()
    one, two = (random_inputs(package.manifest, graph, {symbol: rows}, seed=rows) for rows in (1, 2))
    alone, beside, together = _answers(executor, [one, two, join([one, two])])
    for mine, found in zip((alone, beside), split(together, (1, 2)), strict=True):
        for name, value in mine.items():
            if not _agree(value, found[name]):
                raise InputError("--max-batch", f"rows of one batch change each other's `{name}`", expected=1,
                                 hint="such a model is served one request at a time.")  # fmt: skip


def check_exact(package: Package, executor: Executor, threads: int, limit: float) -> None:
    """Raise unless engines without an exact way are near enough: one seeded random request, before any other.

    Raises:
        EngineError: they are not; the message has the difference and the limit.
    """
    watch = Exactness(package=package, settings=executor.ready(), threads=threads, limit=limit)
    if watch.exact is False and any(settings.exact is False for settings in watch.settings):
        inputs = random_inputs(package.manifest, package.graph(), {}, seed=0)
        (outputs,) = _answers(executor, [inputs])
        watch.see(inputs, outputs)


def _answers(executor: Executor, requests: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """All answers, or the first error among them."""
    found = list(executor.run(requests))
    for answer in found:
        if answer.error is not None:
            raise answer.error
    return [answer.outputs for answer in found]


def _agree(alone: np.ndarray, together: np.ndarray) -> bool:
    if alone.dtype.kind in "biu":
        return np.array_equal(alone, together)
    wide = np.complex128 if alone.dtype.kind == "c" else np.float64
    first, second = alone.astype(wide), together.astype(wide)
    largest = float(np.max(np.abs(first), initial=0.0, where=np.isfinite(first)))
    return np.allclose(first, second, rtol=0, atol=_TOLERANCE * largest, equal_nan=True)
