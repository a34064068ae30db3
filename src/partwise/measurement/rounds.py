"""Rounds of measures in turns, and the record made of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from partwise.measurement.case import Case
from partwise.measurement.place import this_place
from partwise.measurement.predict import predicted_per_s
from partwise.measurement.rates import lone_latencies, stream_per_s
from partwise.measurement.record import BENCH_VERSION, Arrangement, Bench, Uncut
from partwise.measurement.replica import Replica
from partwise.measurement.stages import stage_times
from partwise.runtime.engines import EngineSettings
from partwise.runtime.executors import Executor
from partwise.runtime.sizes import bind_sizes
from partwise.runtime.trace import Trace

__all__ = ["Loaded", "Rounds"]

_LONE_SHARE = 0.5
"""Of the seconds of a measure: how long lone requests are timed, in each round. Assumed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An executor with the package loaded and warm."""

    executor: Executor
    trace: Trace
    settings: tuple[EngineSettings, ...]


@dataclass(slots=True)
class _Measured:
    """Rates of each round, and times of lone requests."""

    per_s: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])
    worked: list[float] = field(default_factory=list[float])
    """Processor time of this process for a lone request, by round [s]."""


@dataclass(slots=True)
class Rounds:
    """Everything that is measured of one case, so far."""

    case: Case
    uncut: tuple[Replica, ...]
    executors: Mapping[str, Loaded]
    found: dict[str, _Measured] = field(default_factory=dict[str, _Measured])
    lone_trace: dict[str, Trace] = field(default_factory=dict[str, Trace])
    ceiling: list[float] = field(default_factory=list[float])
    lone: list[float] = field(default_factory=list[float])
    full: list[float] = field(default_factory=list[float])

    def turn(self, *, reverse: bool) -> None:
        """Measure everything once, in this or the other order."""
        seconds = self.case.settings.seconds
        todo: list[Callable[[], None]] = [lambda name=name: self._executor(name) for name in self.executors]
        if self.uncut:
            *same, wide = self.uncut
            todo.append(lambda: self.ceiling.append(_together(same, seconds)))
            todo.append(lambda: self.lone.append(_together(same[:1], seconds)))
            todo.append(lambda: self.full.append(_together([wide], seconds)))
        for measure in reversed(todo) if reverse else todo:
            measure()

    def _executor(self, name: str) -> None:
        executor, trace = self.executors[name].executor, self.executors[name].trace
        seconds = self.case.settings.seconds
        found = self.found.setdefault(name, _Measured())
        found.per_s.append(stream_per_s(executor, self.case.inputs, seconds, self.case.in_flight))
        before = len(trace.segments), len(trace.handovers)
        latencies, worked = lone_latencies(executor, self.case.inputs, seconds * _LONE_SHARE)
        found.latencies += latencies
        found.worked.append(worked)
        kept = self.lone_trace.setdefault(name, Trace())
        kept.segments += trace.segments[before[0] :]
        kept.handovers += trace.handovers[before[1] :]

    def record(self) -> Bench:
        """All of it."""
        case, package = self.case, self.case.package
        return Bench(
            version=BENCH_VERSION,
            package=package.digest,
            model=package.manifest.model,
            machine=this_place(),
            engines=next(iter(self.executors.values())).settings,
            sizes=bind_sizes(package.manifest.symbols, case.inputs),
            seconds=case.settings.seconds,
            rounds=case.settings.rounds,
            ceiling=_uncut(case.at_once, case.threads, self.ceiling),
            lone=_uncut(1, case.threads, self.lone),
            uncut=_uncut(1, case.threads * case.at_once, self.full),
            arrangements=tuple(self._arrangement(name) for name in self.executors),
            notes=(*_uncut_notes(case, bool(self.uncut)), *_notes(next(iter(self.executors.values())).settings)),
        )

    def _arrangement(self, name: str) -> Arrangement:
        case, found = self.case, self.found[name]
        stages = stage_times(case, self.lone_trace[name])
        busy = [stage.compute_s + stage.copy_s for stage in stages]
        at_once = case.at_once if name == "processes" or case.in_flight > 1 else 1
        latency = statistics.median(found.latencies)
        # In this process the stages' own work is this process's too.
        caller = statistics.median(found.worked) if name == "processes" else max(0.0, latency - sum(busy))
        contention = _median_ratio(self.ceiling, self.lone, case.at_once) if self.uncut else None
        return Arrangement(
            executor=name,
            in_flight=case.in_flight,
            per_s=statistics.median(found.per_s),
            latency_s=latency,
            caller_s=caller,
            stages=stages,
            predicted_per_s=None if contention is None else predicted_per_s(busy, at_once, contention, caller),
            of_ceiling=_median_ratio(found.per_s, self.ceiling) if self.uncut else None,
            of_uncut=_median_ratio(found.per_s, self.full) if self.uncut else None,
        )


def _together(several: Sequence[Replica], seconds: float) -> float:
    for replica in several:
        replica.begin(seconds)
    return sum(replica.per_s() for replica in several)


def _uncut(count: int, threads: int, rates: Sequence[float]) -> Uncut | None:
    return Uncut(replicas=count, threads=threads, per_s=statistics.median(rates)) if rates else None


def _median_ratio(ours: Sequence[float], theirs: Sequence[float], times: int = 1) -> float:
    return statistics.median(a / (times * b) for a, b in zip(ours, theirs, strict=True))


def _uncut_notes(case: Case, measured: bool) -> tuple[str, ...]:
    return (f"the uncut model ran by {case.uncut_engine}",) if measured and len(set(case.engines)) > 1 else ()


def _notes(engines: Sequence[EngineSettings]) -> tuple[str, ...]:
    return tuple(
        f"stage {number} ran on a fake device ({settings.fake}): no figure of real hardware"
        for number, settings in enumerate(engines)
        if settings.fake is not None
    )
