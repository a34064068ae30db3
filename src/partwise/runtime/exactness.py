"""Engines without an exact way: how far their answers are from the exact engine's, measured on every run.

The first request of a run is computed again, stage by stage, by the engine that the segments were cut for, on the
CPU at the same threads. The record holds the difference and the user's limit; beyond the limit the run is an error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from partwise.errors import EngineError
from partwise.packaging import Package
from partwise.runtime.difference import difference
from partwise.runtime.engines import EngineSettings, engine_names, make_engine
from partwise.runtime.sizes import bind_sizes
from partwise.runtime.stage import Stage
from partwise.runtime.trace import Probe

__all__ = ["DIFFERENCE_LIMIT", "Exactness", "Inexact", "exact_outputs"]

DIFFERENCE_LIMIT = 1e-4
"""Largest difference over an output's largest magnitude, unless the user sets another: between float32 engines
(7e-7 on ResNet-50) and bfloat16 arithmetic (3.6e-3). Source: measured, docs/engines.md."""
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inexact:
    """What was measured of a run whose engines have no exact way."""

    against: str
    """The engine that it was compared with."""
    requests: int
    """How many were compared, from the first on."""
    difference: dict[str, float]
    """Largest absolute difference, by output."""
    relative: dict[str, float]
    """The same over the output's largest magnitude."""
    limit: float
    """On `relative`: the user's, or the default."""


@dataclass(slots=True, kw_only=True)
class Exactness:
    """Watches the answers of one run."""

    package: Package
    settings: Sequence[EngineSettings]
    threads: int
    limit: float
    found: Inexact | None = None
    took_s: float = 0.0
    """What measuring took, which is no part of the run."""
    _seen: bool = field(default=False)

    @property
    def exact(self) -> bool | None:
        """What the run claims: the package's word where every engine is exact."""
        return self.package.manifest.exact if not self._inexact else False

    @property
    def _inexact(self) -> bool:
        return any(settings.exact is False for settings in self.settings)

    def see(self, inputs: Values, outputs: Values) -> None:
        """An answer; the first one is measured.

        Raises:
            EngineError: it is farther from the exact engine's than the limit.
        """
        if self._seen or not self._inexact or not outputs:
            return
        self._seen, start = True, time.monotonic()
        expected = exact_outputs(self.package, inputs, self.threads)
        pairs = {name: difference(value, expected[name]) for name, value in outputs.items()}
        self._refuse_beyond(pairs)
        self.found = Inexact(
            against=self.package.manifest.engine,
            requests=1,
            difference={name: absolute for name, (absolute, _) in pairs.items()},
            relative={name: relative for name, (_, relative) in pairs.items()},
            limit=self.limit,
        )
        self.took_s = time.monotonic() - start

    def _refuse_beyond(self, pairs: Mapping[str, tuple[float, float]]) -> None:
        name, (_, worst) = max(pairs.items(), key=lambda pair: pair[1][1])
        if worst > self.limit:
            used = engine_names(tuple(settings.engine for settings in self.settings))
            raise EngineError(f"output `{name}` by {used}", f"is too far from {self.package.manifest.engine}'s",
                              expected=f"within {self.limit:g} of its largest value", got=f"{worst:.2g}",
                              hint="--max-difference sets the limit.")  # fmt: skip


def exact_outputs(package: Package, inputs: Values, threads: int) -> dict[str, np.ndarray]:
    """A request's outputs by the engine that a package was cut for, one stage loaded at a time."""
    manifest, values = package.manifest, dict(inputs)
    sizes = bind_sizes(manifest.symbols, inputs)
    engine = make_engine(manifest.engine, threads)
    for number, entry in enumerate(manifest.segments):
        given = {port.tensor: values[port.tensor] for port in entry.inputs}
        values |= Stage(package, number, engine).compute(0, given, sizes, Probe()).outputs
    return {output.name: values[output.tensor] for output in manifest.outputs}
