"""Run all stages in this process, one request at a time: nothing is copied between them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from partwise.packaging import Package
from partwise.runtime.engines import make_engine
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.drive import drive
from partwise.runtime.executors.executor import Answer, Options, Values
from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import Finished, Schedule
from partwise.runtime.stage import Stage
from partwise.runtime.trace import HandoverSpan, Trace

__all__ = ["InProcess"]


class InProcess:
    """All segments loaded here."""

    def __init__(self, package: Package, options: Options) -> None:
        self._package, self._options = package, options
        self._route = Route.of(package.manifest)
        self._stages = list[Stage]()

    def ready(self) -> tuple[EngineSettings, ...]:
        """Load every segment."""
        engine, total = make_engine(self._options.engine, self._options.threads), self._route.stages
        while len(self._stages) < total:
            self._stages.append(Stage(self._package, len(self._stages), engine))
            self._options.on_progress("load segments", len(self._stages), total)
        return tuple(stage.settings for stage in self._stages)

    def run(self, requests: Iterable[Values | None]) -> Iterator[Answer]:
        """See `Executor`."""
        self.ready()
        schedule = Schedule(self._route, in_flight=self._options.in_flight or 1)
        return drive(self._package.manifest, schedule, requests, _Hands(self._route, self._stages, self._options))

    def close(self) -> None:
        """Forget the segments."""
        self._stages.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Hands:
    """Computes at once, and keeps the values that somebody will read."""

    def __init__(self, route: Route, stages: list[Stage], options: Options) -> None:
        self._route, self._stages, self._options = route, stages, options
        self._sent: dict[tuple[int, int], Values] = {}
        self._finished: deque[Finished] = deque()

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        self._sent[request, CALLER] = inputs

    def compute(self, request: int, stage: int, sizes: Mapping[str, int]) -> None:
        received = {
            sender: {name: self._sent[request, sender][name] for name in names}
            for sender, names in self._route.received[stage].items()
        }
        if self._options.trace:
            _note(self._options.trace, request, stage, received)
        values = {name: value for taken in received.values() for name, value in taken.items()}
        computed = self._stages[stage].compute(request, values, sizes, self._options.probe)
        self._sent[request, stage] = computed.outputs
        self._finished.append(Finished(request, stage))
        if self._options.trace:
            self._options.trace.segments.append(computed.segment)
            self._options.trace.nodes.extend(computed.nodes)

    def finished(self) -> Finished:
        return self._finished.popleft()

    def collect(self, request: int, stage: int) -> Values:
        return {name: self._sent[request, stage][name] for name in self._route.returned[stage]}

    def release(self, request: int, sender: int) -> None:
        del self._sent[request, sender]


def _note(trace: Trace, request: int, stage: int, received: Mapping[int, Values]) -> None:
    """A value is handed over where it lies: no time, and the bytes that were not copied."""
    now = time.monotonic()
    trace.handovers.extend(
        HandoverSpan(
            request=request,
            sender=sender,
            receiver=stage,
            start_s=now,
            end_s=now,
            copy_s=0.0,
            bytes=sum(value.nbytes for value in taken.values()),
            values=len(taken),
        )
        for sender, taken in received.items()
    )
