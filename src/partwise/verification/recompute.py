"""Compute again what a package should give: its segments chained, its graph as one segment, and its source.

Everything is read from the package's own files, each checked against its digest as it is loaded. The chain and the
whole are loaded one after the other, so a package that runs here can be verified here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from partwise.errors import VerifyError
from partwise.frontends.source import Source
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.runtime.engines import make_engine
from partwise.runtime.executors import Options, start_executor
from partwise.runtime.sizes import bind_sizes, check_values

__all__ = ["Original", "Values", "chained", "whole"]

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Original:
    """The model that a package claims to be cut from."""

    source: Source
    graph: Graph
    """Its graph, captured by whoever verifies; or the package's own, whose names alone are then believed."""

    def answers(self, requests: Iterable[Values]) -> list[dict[str, np.ndarray]]:
        """The model's own outputs for each request of a stream, one after the other."""
        return self.source.answers(self.graph, requests)


def chained(package: Package, requests: Iterable[Values], engine: str, threads: int) -> list[dict[str, np.ndarray]]:
    """Outputs of the segments, one after the other, for each request, in this process."""
    with start_executor("in-process", package, Options(engine=engine, threads=threads)) as executor:
        executor.ready()
        return [answer.outputs for answer in executor.run(requests)]


def whole(package: Package, requests: Iterable[Values], engine: str, threads: int) -> list[dict[str, np.ndarray]]:
    """Outputs of the uncut graph as one segment, for each request.

    Raises:
        VerifyError: it does not give the outputs that the manifest names.
    """
    manifest = package.manifest
    hints = {symbol.name: symbol.hint for symbol in manifest.symbols}
    segment = make_engine(engine, threads).load(package.whole())
    found = list[dict[str, np.ndarray]]()
    for inputs in requests:
        sizes = bind_sizes(manifest.symbols, inputs)
        check_values("model input", manifest.inputs, inputs, sizes)
        outputs = segment.run(inputs, {**hints, **sizes})
        if lacking := [output.tensor for output in manifest.outputs if output.tensor not in outputs]:
            raise VerifyError("whole", f"does not give `{lacking[0]}`", got=", ".join(outputs))
        found.append({output.name: outputs[output.tensor] for output in manifest.outputs})
    return found
