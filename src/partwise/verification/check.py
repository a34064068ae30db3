"""The cutter's own check of a package: what its manifest then says about it."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from partwise.errors import EngineError, VerifyError
from partwise.frontends.source import Source
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.runtime import default_threads, open_inputs
from partwise.runtime.stage import LyingOutputError
from partwise.verification.recompute import Original, chained, whole
from partwise.verification.verdict import RELATIVE_LIMIT, Comparison, compare, worst

__all__ = ["PackageCheck", "check_package"]

_MADE_UP = "made-up inputs may not suit it: cut with --no-check, then verify with inputs of your own."
_STATED = "the model states sizes that it does not give: correct the shapes that it states of its values."


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
        VerifyError: the whole does not give what the source gives; or the package came without its graph and none
            was given.
    """
    known = graph or package.graph()
    if known is None:
        raise VerifyError(str(package.path), "came without its graph, and none was given")
    requests, engine = list(open_inputs(inputs, package)), package.manifest.engine
    used = threads or default_threads()
    with _explained(made_up=inputs is None):
        uncut = whole(package, requests, engine, used)
        ours = chained(package, requests, engine, used)
    theirs = Original(source, known).answers(requests)
    chain, origin = worst(map(compare, ours, uncut)), worst(map(compare, uncut, theirs))
    for found in origin:
        _refuse_other_model(found)
    return PackageCheck(
        exact=all(found.equal for found in chain),
        difference={found.output: found.largest_difference for found in worst(map(compare, ours, theirs))},
        chain=chain,
        source=origin,
    )


@contextmanager
def _explained(*, made_up: bool) -> Generator[None]:
    """While this lasts, what fails although nobody did anything wrong says what to do."""
    try:
        yield
    except LyingOutputError as error:
        raise type(error)(error.subject, error.what, expected=error.expected, got=error.got, hint=_STATED) from None
    except EngineError as error:
        hint = error.hint or (_MADE_UP if made_up else "")
        raise type(error)(error.subject, error.what, expected=error.expected, got=error.got, hint=hint) from None


def _refuse_other_model(found: Comparison) -> None:
    subject = f"output `{found.output}`"
    if not math.isfinite(found.largest_difference):
        raise VerifyError(subject, "is of another type, shape or kind than the model's own")
    if found.relative_difference > RELATIVE_LIMIT:
        raise VerifyError(subject, "is not the model's own: the graph is another model's, or lost something of it",
                          expected=f"within {RELATIVE_LIMIT:g} of its largest value",
                          got=f"{found.relative_difference:.2g}", hint="plan again with this model.")  # fmt: skip
