"""The cutter's own check of a package: what its manifest then says about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from partwise.errors import VerifyError
from partwise.frontends.source import Source
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.runtime import default_threads, open_inputs
from partwise.verification.recompute import Original, chained, whole
from partwise.verification.verdict import Comparison, compare, worst

__all__ = ["PackageCheck", "check_package"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageCheck:
    """What was found."""

    exact: bool
    """Chain equal to whole, bit for bit."""
    difference: dict[str, float]
    """Largest absolute difference of the chain from the source model, by output."""
    chain: tuple[Comparison, ...]
    """Chain against whole."""
    source: tuple[Comparison, ...]
    """Whole against source."""


def check_package(
    package: Package,
    source: Source,
    graph: Graph | None = None,
    *,
    inputs: object = None,
    threads: int | None = None,
) -> PackageCheck:
    """Run a package's chain, its whole and its source on the same inputs, and compare.

    Args:
        package: to be checked.
        source: the model that it was cut from.
        graph: that model's graph; the package's own if not given.
        inputs: whatever `partwise.runtime.inputs` reads; seeded random values by default.
        threads: of the engine.

    Raises:
        VerifyError: chain or source give outputs of another kind or shape, so no difference can be stated; or the
            package came without its graph and none was given.
    """
    known = graph or package.graph()
    if known is None:
        raise VerifyError(str(package.path), "came without its graph, and none was given")
    requests, engine = list(open_inputs(inputs, package)), package.manifest.engine
    used = threads or default_threads()
    uncut = whole(package, requests, engine, used)
    ours = chained(package, requests, engine, used)
    theirs = Original(source, known).answers(requests)
    chain = worst(map(compare, ours, uncut))
    against = worst(map(compare, ours, theirs))
    difference = {found.output: found.largest_difference for found in against}
    for output, largest in difference.items():
        if not math.isfinite(largest):
            raise VerifyError(f"output `{output}`", "is of another type, shape or kind than the model's own")
    return PackageCheck(
        exact=all(found.equal for found in chain),
        difference=difference,
        chain=chain,
        source=worst(map(compare, uncut, theirs)),
    )
