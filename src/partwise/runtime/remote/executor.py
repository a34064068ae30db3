"""Run stages on other machines: the same schedule, with hands that reach over links.

The head sends a task to a worker together with the model inputs that it reads, and tells it who has the rest: values
go from worker to worker, outputs of the model to the head. What a worker made is lost with it, and the schedule then
has it computed again (`durable=False`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from partwise.errors import InputError, PartwiseError, RunError
from partwise.packaging import Package
from partwise.runtime.demands import demands_of
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.drive import Driver
from partwise.runtime.executors.executor import Answer, Options, Values
from partwise.runtime.remote.hands import Hands
from partwise.runtime.remote.members import Members
from partwise.runtime.remote.wire import Fetched
from partwise.runtime.route import Route
from partwise.runtime.schedule import Incident, Schedule

__all__ = ["Remote"]

_QUEUE = 2
"""Tasks handed to a worker at once: one that it computes, and the next, whose values travel meanwhile."""
_GATHER_S = 120.0
"""How long the workers that a cluster has room for may take to start: Ray, Python and an engine's import (assumed)."""


class Remote:
    """The workers of a cluster; see the module."""

    def __init__(self, package: Package, options: Options, members: Members | None = None) -> None:
        self._package, self._options = package, options
        self._members = members or _ray(options)
        self._hands = Hands(package, options, self._members)
        self._schedule: Schedule | None = None
        self._driver: Driver | None = None
        try:
            self._expected = self._members.start(self._hands.crew.invite, self._hands.report)
        except BaseException:
            self.close()
            raise

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """See `Executor`."""
        return tuple(self._schedule.story.incidents) if self._schedule is not None else ()

    @property
    def fetched(self) -> dict[tuple[int, int], Fetched]:
        """What each stage's files took to get to each worker, by (worker, stage)."""
        return dict(self._hands.fetched)

    def ready(self) -> tuple[EngineSettings, ...]:
        """See `Executor`. Waits for the workers that the cluster has room for, or for so many as were asked for."""
        if self._schedule is None:
            self._gather()
        schedule, settings = self._schedule, self._hands.settings
        assert schedule is not None
        assert self._driver is not None
        self._driver.wait(lambda: all(stage in settings for stage in schedule.route.active))
        return tuple(settings[stage] for stage in schedule.route.active)

    def run(self, requests: Iterable[Values | float | None]) -> Iterator[Answer]:
        """See `Executor`. One stream at a time; a stream that is left before its end ends the workers."""
        self.ready()
        assert self._driver is not None
        assert self._schedule is not None
        try:
            yield from self._driver.run(requests)
        finally:
            if not self._schedule.done:
                self.close()

    def wake(self) -> None:
        """See `Executor`."""
        self._hands.wake()

    def close(self) -> None:
        """End the workers of this run; the cluster stays."""
        self._hands.close()
        self._members.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gather(self) -> None:
        """Wait for workers, and give each its stages."""
        crew, wanted = self._hands.crew, self._options.workers or self._expected
        deadline_s = time.monotonic() + _GATHER_S
        while len(crew.capacities) < wanted - (0 if self._options.workers else len(crew.refused)):
            self._options.on_progress("wait for workers", len(crew.capacities), wanted)
            if time.monotonic() > deadline_s or (crew.refused and len(crew.refused) >= self._expected):
                break
            self._hands.gather(0.2)
        self._options.on_progress("wait for workers", len(crew.capacities), wanted)
        if len(crew.capacities) < (self._options.workers or 1):
            raise self._lonely(wanted)
        self._begin()

    def _begin(self) -> None:
        route, capacities = Route.of(self._package.manifest), self._hands.crew.capacities
        limits = [capacity.layers for capacity in (*capacities.values(), self._options.capacity)]
        layers = any(limit is not None for limit in limits)
        self._schedule = Schedule(
            route,
            workers=capacities,
            own=False,
            demands=demands_of(self._package, layers=layers, weights=self._options.weights),
            in_flight=self._options.in_flight or max(route.stages, len(capacities)) + 1,
            queue=_QUEUE,
            policy=self._options.policy,
            supervised=True,
            durable=False,
        )
        self._schedule.story.on_note = self._options.on_incident
        self._hands.crew.begun(self._schedule.story)
        self._driver = Driver(self._package.manifest, self._schedule, self._hands)
        self._driver.begin()

    def _lonely(self, wanted: int) -> PartwiseError:
        """Too few workers: why."""
        for error in self._hands.crew.refused.values():
            return error
        return RunError(f"cluster {self._options.address}", "has too few workers of Partwise", expected=wanted,
                        got=len(self._hands.crew.capacities),
                        hint=f"on another machine: partwise worker --join {self._options.address}")  # fmt: skip


def _ray(options: Options) -> Members:
    if options.address is None:
        raise InputError("--executor ray", "needs the cluster's address", hint="--address HOST:PORT")
    from partwise.runtime.remote.ray_members import RayMembers

    return RayMembers(options.address)
