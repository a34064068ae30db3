"""Judge a package or a saved run.

    chain      the segments one after the other  =  the graph as one segment        bit for bit
    source     the graph as one segment          =  the model it came from          bit for bit, or within 1e-5 of the
                                                                                    largest value, and then it is said
    weights    every weight in the package       =  the model's own                 bit for bit
    recorded   what a saved run claims           =  what its inputs give here       bit for bit

Nothing that the judged party wrote decides anything: digests, differences and the word `exact` in its files are
claims; values are computed here, from blobs checked by digest, on the inputs of the run or on the verifier's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from partwise.digest import sha256_digest
from partwise.errors import StalePlanError
from partwise.ir import graph_digest
from partwise.packaging import Package
from partwise.packaging.arrays import dense, stride_order, tensor_digest
from partwise.runtime import Run, default_threads, open_inputs
from partwise.runtime.engines import EngineSettings, engine_names, engine_text, make_engine, stage_engines
from partwise.runtime.exactness import DIFFERENCE_LIMIT
from partwise.verification.recompute import Original, Values, chained, whole
from partwise.verification.verdict import RELATIVE_LIMIT, Comparison, Outcome, Verdict, compare, worst

__all__ = ["verify_package", "verify_run"]


def verify_package(
    package: Package,
    original: Original | None = None,
    inputs: object = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    max_difference: float = DIFFERENCE_LIMIT,
) -> Verdict:
    """Whether a package computes what its model computes.

    Args:
        package: to be judged.
        original: the model; without it the chain is compared with the package's own whole, and the verdict says so.
        inputs: whatever `partwise.runtime.inputs` reads; seeded random values by default.
        threads: of the engine.
        engine: of the chain, if not the one that the package was cut for; of one without an exact way it is judged
            how far it is from that one.
        max_difference: how far it may be, over an output's largest value.

    Raises:
        PartwiseError: a file that cannot be used at all; a value that is merely wrong is a verdict.
    """
    requests = list(open_inputs(inputs, package))
    names = stage_engines(engine, len(package.manifest.segments), package.manifest.engine)
    case = _Case(requests, names, threads or default_threads(), limit=max_difference)
    here = {name: make_engine(name, case.threads).settings for name in names}
    if nothing := _computes_nothing(here):
        return nothing
    case.inexact = any(settings.exact is False for settings in here.values())
    return _judge(package, original, case)


def verify_run(
    run: Run,
    package: Package,
    original: Original | None = None,
    inputs: object = None,
    *,
    max_difference: float = DIFFERENCE_LIMIT,
) -> Verdict:
    """Whether a run's outputs are what its package and its model give for its inputs.

    Args:
        run: as it came out of `run_package`, or a saved one.
        package: that it claims to have run.
        original: the model, as in `verify_package`.
        inputs: what should have been run; by default the inputs that the run recorded.
        max_difference: how far engines without an exact way may be from the exact one, over an output's largest value.

    Raises:
        InputError: the run lacks its values.
        PartwiseError: a file that cannot be used at all.
    """
    if run.record.package != package.digest:
        return _rejected(f"the run is of another package ({run.record.package})")
    given = [request.inputs for request in run.requests] if inputs is None else list(open_inputs(inputs, package))
    if reason := _other_inputs(run, given):
        return _rejected(reason)
    claimed = [request.outputs for request in run.requests]
    if reason := _other_outputs(run, claimed, {output.name for output in package.manifest.outputs}):
        return _rejected(reason)
    stated = _by_segment(run.record.engines, len(package.manifest.segments))
    names = tuple(map(engine_text, stated)) or (package.manifest.engine,) * len(package.manifest.segments)
    threads = min(max(max((settings.threads for settings in run.record.engines), default=1), 1), 4 * default_threads())
    case = _Case([dict(values) for values in given], names, threads, claimed, limit=max_difference)
    here = {name: make_engine(name, threads).settings for name in names}
    if nothing := _computes_nothing(here):
        return nothing
    case.inexact = any(settings.exact is False for settings in here.values())
    case.settled = bool(stated) and all(_same_bits(said, here[name]) for name, said in zip(names, stated, strict=True))
    if not case.settled:
        case.notes.append(f"the run states other settings than were used here: {[*run.record.engines[:1]]}")
    return _judge(package, original, case)


@dataclass(slots=True)
class _Case:
    requests: list[Values]
    engines: tuple[str, ...]
    """Of each stage of the chain."""
    threads: int
    claimed: Sequence[Values] | None = None
    inexact: bool = False
    """Whether one of them has no exact way: then it is judged by its distance from the exact engine."""
    limit: float = DIFFERENCE_LIMIT
    settled: bool = True
    """Whether the settings here are those of the claim, so that the same inputs must give the same bits."""
    notes: list[str] = field(default_factory=list[str])

    def whole_by(self, cut_for: str) -> str:
        """The engine of the whole: the chain's, if it is one that is exact."""
        return self.engines[0] if len(set(self.engines)) == 1 and not self.inexact else cut_for


def _computes_nothing(here: Mapping[str, EngineSettings]) -> Verdict | None:
    """The verdict where an engine only pretends to compute; None where all compute."""
    names = [name for name, settings in here.items() if settings.exact is None]
    reason = f"engine `{names[0]}` computes nothing of the model" if names else ""
    return Verdict(outcome=Outcome.INCONCLUSIVE, reason=reason) if names else None


def _same_bits(said: EngineSettings, here: EngineSettings) -> bool:
    """Whether they compute alike: a fake device pretends alone, and kept memory is only faster."""
    return replace(said, fake=None, freed_memory=here.freed_memory) == here


def _by_segment(stated: Sequence[EngineSettings], segments: int) -> tuple[EngineSettings, ...]:
    """The settings of each segment; none where stages were cut smaller and do not all have the same."""
    if len(stated) == segments:
        return tuple(stated)
    return tuple(stated[:1]) * segments if len(set(stated)) == 1 else ()


def _judge(package: Package, original: Original | None, case: _Case) -> Verdict:
    if original is not None and graph_digest(original.graph) != package.manifest.graph:
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason="captured here, the model is another graph than the package's: another model, or another version "
            "of what captures it",
        )
    if not case.requests:
        return Verdict(outcome=Outcome.INCONCLUSIVE, reason="no request to compute again")
    uncut = whole(package, case.requests, case.whole_by(package.manifest.engine), case.threads)
    ours = chained(package, case.requests, ",".join(case.engines), case.threads)
    chain = worst(map(compare, ours, uncut))
    recorded = worst(map(compare, case.claimed, ours)) if case.claimed is not None else ()
    source = worst(map(compare, uncut, original.answers(case.requests))) if original else ()
    tampered = _other_weight(package, original) if original else None
    outcome, reason = _decide(package, chain, source, recorded, tampered, case)
    return Verdict(
        outcome=outcome,
        reason=reason,
        chain=chain,
        source=source,
        recorded=recorded,
        requests=len(case.requests),
        notes=(*case.notes, *package.manifest.notes),
    )


def _decide(
    package: Package,
    chain: Sequence[Comparison],
    source: Sequence[Comparison],
    recorded: Sequence[Comparison],
    tampered: str | None,
    case: _Case,
) -> tuple[Outcome, str]:
    """The outcome and its reason; the first thing that is wrong decides."""
    if tampered:
        return Outcome.REJECTED, tampered
    if (found := _unequal(recorded)) is not None:
        if case.settled or found.relative_difference > (case.limit if case.inexact else RELATIVE_LIMIT):
            return Outcome.REJECTED, f"its inputs do not give the recorded `{found.output}` ({_by(found)})"
        return Outcome.INCONCLUSIVE, f"the recorded `{found.output}` differs, and so do the settings ({_by(found)})"
    reasons = ["the segments chained equal the graph as one segment, bit for bit"]
    if (found := _unequal(chain)) is not None:
        limit = case.limit if case.inexact else RELATIVE_LIMIT
        if (package.manifest.exact is not False and not case.inexact) or found.relative_difference > limit:
            return Outcome.REJECTED, f"the segments chained differ from the graph as one segment ({_by(found)})"
        reasons = [f"the package says that it is not exact, and is not ({_by(found)})"]
        if case.inexact:
            used = engine_names(case.engines)
            reasons = [f"{used} has no exact way: within {limit:g} of {package.manifest.engine} ({_by(found)})"]
    if not source:
        return Outcome.ACCEPTED, f"{reasons[0]}; no model was given to compare the graph with"
    if (found := _unequal(source)) is not None:
        if found.relative_difference > RELATIVE_LIMIT:
            return Outcome.REJECTED, f"the graph as one segment differs from the model ({_by(found)})"
        return Outcome.ACCEPTED, f"{reasons[0]}; the model is within {RELATIVE_LIMIT:g} of it ({_by(found)})"
    return Outcome.ACCEPTED, f"{reasons[0]}; the model equals it, bit for bit"


def _unequal(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison that is farthest from equal; None if all are equal."""
    wrong = [found for found in comparisons if not found.equal]
    return max(wrong, key=lambda found: found.relative_difference, default=None)


def _by(found: Comparison) -> str:
    return f"`{found.output}` by {found.largest_difference:.2g}, {found.relative_difference:.2g} of its largest value"


def _other_inputs(run: Run, given: Sequence[Values]) -> str | None:
    """What is wrong with the inputs that a run claims; None if they are the given ones, value by value."""
    if len(given) != len(run.record.requests):
        return f"the run is of {len(run.record.requests)} requests, not of {len(given)}"
    for number, (promised, values) in enumerate(zip(run.record.requests, given, strict=True)):
        if promised.inputs != {name: tensor_digest(value) for name, value in values.items()}:
            return f"request {number} was not run on these inputs"
    return None


def _other_outputs(run: Run, claimed: Sequence[Values], names: set[str]) -> str | None:
    """What is wrong with the outputs that a run claims; None if they are its record's, and the package's by name."""
    for number, (promised, values) in enumerate(zip(run.record.requests, claimed, strict=True)):
        if other := sorted(names ^ promised.outputs.keys()):
            return f"request {number} has other outputs than the package gives: `{other[0]}`"
        if promised.outputs != {name: tensor_digest(value) for name, value in values.items()}:
            return f"the outputs of request {number} are not those of the run's record"
    return None


def _other_weight(package: Package, original: Original) -> str | None:
    """The first weight of the package that is not the model's own; None if all are."""
    try:
        theirs = original.source.weights(original.graph)
    except StalePlanError as error:
        return f"the model is another one: {error}"
    for entry in (entry for segment in package.manifest.segments for entry in segment.weights):
        if entry.tensor not in theirs:
            return f"weight `{entry.tensor}` is none of the model's"
        value = theirs[entry.tensor]
        found = (value.dtype.name, value.shape, stride_order(value), _bytes_digest(value))
        if found != (entry.dtype.value, entry.shape, entry.order, entry.blob.digest):
            return f"weight `{entry.tensor}` is not the model's own"
    return None


def _bytes_digest(array: np.ndarray) -> str:
    return sha256_digest(dense(array).reshape(-1).view(np.uint8).data)


def _rejected(reason: str) -> Verdict:
    return Verdict(outcome=Outcome.REJECTED, reason=reason)
