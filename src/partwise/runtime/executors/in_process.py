"""Run a package's segments one after the other in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from partwise.packaging import Package
from partwise.runtime.engines.engine import Engine, LoadedSegment
from partwise.runtime.sizes import bind_sizes, check_values

__all__ = ["InProcess"]


@dataclass(slots=True)
class InProcess:
    """All segments loaded here."""

    package: Package
    segments: list[LoadedSegment]

    @classmethod
    def start(cls, package: Package, engine: Engine) -> InProcess:
        """Load every segment."""
        return cls(package, [engine.load(package.segment(number)) for number in range(len(package.manifest.segments))])

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's outputs, by name, in the model's order."""
        manifest = self.package.manifest
        sizes = bind_sizes(manifest.symbols, inputs)
        check_values("model inputs", manifest.inputs, inputs, sizes)
        values = dict(inputs)
        for number, (entry, segment) in enumerate(zip(manifest.segments, self.segments, strict=True)):
            given = {port.tensor: values[port.tensor] for port in entry.inputs}
            check_values(f"segment {number} input", entry.inputs, given, sizes)
            outputs = segment.run(given, sizes)
            check_values(f"segment {number} output", entry.outputs, outputs, sizes)
            values.update(outputs)
        return {output.name: values[output.tensor] for output in manifest.outputs}
