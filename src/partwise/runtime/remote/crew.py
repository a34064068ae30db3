"""The workers that are up, as the head knows them: let in or refused, introduced to each other, told things, lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.packaging import Package
from partwise.runtime.executors.executor import Options
from partwise.runtime.executors.reported import Reported
from partwise.runtime.packet import Frame
from partwise.runtime.remote import wire
from partwise.runtime.remote.handshake import Invitation, Statement, invitation, refuse_strangers
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.members import Arrived, Change, Departed, Unfit, Vanished
from partwise.runtime.schedule import Capacity, Event, Incident, Joined, Lost, Story

__all__ = ["Crew"]

_ALONE_S = 120.0
"""How long a run waits for the first worker to come back once all are gone (assumed: a restart by Ray)."""


class Crew:
    """See the module. A worker keeps its number when another process takes its place; each has a key of its own."""

    def __init__(self, package: Package, options: Options, link: Link, on_gone: Callable[[int], None]) -> None:
        """Nobody is up.

        Args:
            package: what is run.
            options: how.
            link: to the workers.
            on_gone: told of each worker that is gone, before anybody else.
        """
        self._package, self._options, self._link, self._on_gone = package, options, link, on_gone
        self.capacities: dict[int, Capacity] = {}
        """Of the workers that have arrived, by number; those that are gone stay."""
        self.refused: dict[int, PartwiseError] = {}
        self.errors = Reported()
        self._stated: dict[int, Statement] = {}
        """Of the workers that are up."""
        self._numbers: dict[str, int] = {}
        self._clocks: dict[int, float] = {}
        """Head's clock minus the worker's, at most [s]."""
        self._alone_s = time.monotonic()
        self._story: Story | None = None

    def invite(self, number: int) -> Invitation:
        """What a worker is told when it is started."""
        return invitation(self._package, number, self._link.key, self._options.probe)

    def begun(self, story: Story) -> None:
        """The schedule has begun: what goes wrong among the workers belongs to its story."""
        self._story = story
        for number, error in self.refused.items():
            story.note(Incident(what="refused", worker=number, why=str(error)))

    def changed(self, change: Change) -> Event | None:
        """Somebody has come or gone: what the schedule is told of it.

        Raises:
            PartwiseError: the cluster itself is gone.
        """
        match change:
            case Arrived(number, stated, capacity):
                return self._arrived(number, stated, capacity)
            case Departed(number, why):
                return self.lose(number, WorkerLostError(f"worker {number}", "is gone", got=why))
            case Unfit(number, error):
                return self._refuse(number, error)
            case Vanished(error):
                raise error

    def lose(self, number: int, error: PartwiseError) -> Event | None:
        """A worker is gone, for this reason."""
        stated = self._stated.pop(number, None)
        if stated is None:
            return None
        why = self.errors.note(number, error)
        del self._numbers[stated.key]
        self._link.forget(stated.key)
        self._on_gone(number)
        for other in self._stated.values():
            self._link.send(other.key, wire.encode(wire.Gone(stated.key)))
        if self._story is None:
            del self.capacities[number]
            return None
        self._alone_s = time.monotonic()
        return Lost(number, why)

    def post(self, worker: int, word: wire.Word, frames: list[Frame] | None = None) -> None:
        """Tell a worker something, if it is up."""
        stated = self._stated.get(worker)
        if stated is not None:
            self._link.send(stated.key, wire.encode(word, frames or []))

    def number(self, key: str) -> int | None:
        """The worker that has a key; None for one that is gone."""
        return self._numbers.get(key)

    def reach(self, worker: int) -> tuple[str, str]:
        """A worker's key and endpoint; empty where it is gone."""
        stated = self._stated.get(worker)
        return ("", "") if stated is None else (stated.key, stated.endpoint)

    def offset_s(self, worker: int, now_s: float) -> float:
        """The head's clock minus a worker's, whose message of just now says `now_s`; the best known so far."""
        offset_s = self._clocks[worker] = min(self._clocks[worker], time.monotonic() - now_s)
        return offset_s

    def refuse_loneliness(self) -> None:
        """Raise where nobody has been up for too long.

        Raises:
            PartwiseError: the story of one that was.
        """
        if not self._stated and time.monotonic() - self._alone_s > _ALONE_S:
            raise self.errors.last() or RunError("the run", f"had no worker for {_ALONE_S:g} s")

    def _arrived(self, number: int, stated: Statement, capacity: Capacity) -> Event | None:
        try:
            refuse_strangers(self.invite(number), stated)
        except PartwiseError as error:
            return self._refuse(number, error)
        if number in self._stated:
            self.lose(number, WorkerLostError(f"worker {number}", "started anew"))
        self._stated[number], self._numbers[stated.key] = stated, number
        self._clocks[number] = float("inf")
        self.capacities[number] = _least(capacity, self._options.capacity)
        self._link.connect(stated.key, stated.endpoint)
        for other in self._stated.values():
            if other.key != stated.key:
                self.post(number, wire.Admit(other.key))
                self._link.send(other.key, wire.encode(wire.Admit(stated.key)))
        return Joined(number, self.capacities[number]) if self._story is not None else None

    def _refuse(self, number: int, error: PartwiseError) -> None:
        self.refused[number] = error
        if self._story is not None:
            self._story.note(Incident(what="refused", worker=number, why=str(error)))


def _least(first: Capacity, second: Capacity) -> Capacity:
    """What both allow."""

    def least(*limits: int | None) -> int | None:
        return min((limit for limit in limits if limit is not None), default=None)

    return Capacity(
        bytes=least(first.bytes, second.bytes),
        parameters=least(first.parameters, second.parameters),
        layers=least(first.layers, second.layers),
    )
