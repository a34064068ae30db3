"""Run each stage in a process of its own, requests pipelined over them.

Headers pass through this process; tensor bytes go from the sender's memory straight into each receiver's own, once
per receiver (`shared_memory`). The schedule decides what happens next; this file only carries it out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

import msgspec

from partwise.packaging import Package
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.drive import drive
from partwise.runtime.executors.executor import Answer, Options, Values
from partwise.runtime.executors.messages import Done, Load, Loaded, Parcel, Task
from partwise.runtime.executors.shared_memory import Inbox, Outbox, create_memory
from partwise.runtime.executors.worker_process import Crew
from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import Finished, Schedule
from partwise.runtime.trace import Trace

__all__ = ["Processes"]

_QUEUE = 2
"""Tasks handed to a stage at once: one that it computes, and the next beside it."""


class Processes:
    """One worker a stage; they start, and load their segments, while the caller goes on."""

    def __init__(self, package: Package, options: Options) -> None:
        self._package, self._options = package, options
        self._route = Route.of(package.manifest)
        self._crew = Crew()
        self._settings: dict[int, EngineSettings] = {}
        self._memory: dict[int, int] = {}
        try:
            for sender in range(CALLER, self._route.stages):
                self._memory[sender] = create_memory()
            for stage in range(self._route.stages):
                self._crew.start(self._load(stage))
        except BaseException:
            self.close()
            raise
        self._hands = _Hands(self._route, self._crew, self._memory, options.trace)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers, by stage."""
        return self._crew.pids

    def ready(self) -> tuple[EngineSettings, ...]:
        """See `Executor`."""
        total = self._route.stages
        while len(self._settings) < total:
            self._options.on_progress("start workers", len(self._settings), total)
            stage, message = self._crew.next()
            if isinstance(message, Loaded):
                self._settings[stage] = message.settings
        self._options.on_progress("start workers", total, total)
        return tuple(self._settings[stage] for stage in range(total))

    def run(self, requests: Iterable[Values | None]) -> Iterator[Answer]:
        """See `Executor`. One stream at a time; a stream that is left before its end ends the workers."""
        self.ready()
        in_flight = self._options.in_flight or self._route.stages + 1
        schedule = Schedule(self._route, in_flight=in_flight, queue=_QUEUE)
        try:
            yield from drive(self._package.manifest, schedule, requests, self._hands)
        finally:
            if not schedule.done:
                self.close()

    def close(self) -> None:
        """Hang up on every worker, and see that it has ended."""
        self._crew.stop()
        while self._memory:
            os.close(self._memory.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, stage: int) -> Load:
        return Load(
            package=str(self._package.path.resolve()),
            digest=self._package.digest,
            stage=stage,
            engine=self._options.engine,
            threads=self._options.threads,
            memory={sender: self._memory[sender] for sender in (*self._route.received[stage], stage)},
            probe=self._options.probe,
        )


class _Hands:
    """Carries out a schedule: headers to the workers, model inputs into shared memory, outputs out of it."""

    def __init__(self, route: Route, crew: Crew, memory: Mapping[int, int], trace: Trace | None) -> None:
        self._route, self._crew, self._trace = route, crew, trace
        self._outbox = Outbox(CALLER, memory[CALLER])
        self._inboxes = {stage: Inbox(memory[stage]) for stage in range(route.stages)}
        self._parcels: dict[tuple[int, int], Parcel] = {}
        self._released: dict[int, list[int]] = {stage: [] for stage in range(route.stages)}
        self._read = [name for senders in route.received for name in senders.get(CALLER, ())]

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        if self._read:
            self._parcels[request, CALLER] = self._outbox.write({name: inputs[name] for name in self._read})

    def compute(self, request: int, stage: int, sizes: Mapping[str, int]) -> None:
        parcels = tuple(
            _only(self._parcels[request, sender], names) for sender, names in self._route.received[stage].items()
        )
        released, self._released[stage] = tuple(self._released[stage]), []
        self._crew.send(stage, Task(request, dict(sizes), parcels, released))

    def finished(self) -> Finished:
        while True:
            stage, message = self._crew.next()
            if isinstance(message, Done):
                self._parcels[message.request, stage] = message.parcel
                if self._trace:
                    self._trace.segments.append(message.segment)
                    self._trace.handovers.extend(message.handovers)
                    self._trace.nodes.extend(message.nodes)
                return Finished(message.request, stage)

    def collect(self, request: int, stage: int) -> Values:
        return self._inboxes[stage].read(_only(self._parcels[request, stage], self._route.returned[stage]))

    def release(self, request: int, sender: int) -> None:
        slot = self._parcels.pop((request, sender)).slot
        if sender == CALLER:
            self._outbox.release([slot])
        else:
            self._released[sender].append(slot)


def _only(parcel: Parcel, names: tuple[str, ...]) -> Parcel:
    """A parcel with some of its tensors."""
    return msgspec.structs.replace(parcel, tensors=tuple(t for t in parcel.tensors if t.tensor in names))
