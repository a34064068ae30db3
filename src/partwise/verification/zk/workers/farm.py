"""Proofs on several workers: the schedule of `runtime` says which worker proves what, this file carries it out.

A proof is a task: the proofs of a run are independent, since every witness is there. A worker proves one at a time
and reads the keys for each, so that a task takes room only while it is proved, and any worker that has the room may
take it. What a worker hands in is judged by the caller before it counts.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from partwise.error_parts import error_of
from partwise.errors import PartwiseError, ProverError
from partwise.ir import Output, Symbol
from partwise.packaging import Port
from partwise.runtime.executors.drive import Driver
from partwise.runtime.executors.executor import Values
from partwise.runtime.executors.reported import Reported
from partwise.runtime.executors.worker_process import Crew, Gone, Kind, Pulse
from partwise.runtime.route import Piece, Route
from partwise.runtime.schedule import (
    Capacity,
    Compute,
    Demand,
    Divided,
    Event,
    Failed,
    Fault,
    Finished,
    Heard,
    Incident,
    Indivisible,
    Loaded,
    Lost,
    Policy,
    Schedule,
)
from partwise.verification.zk.prover import Circuit, Measured, Prover
from partwise.verification.zk.workers.messages import Begin, NotProved, Prove, Proved, Recipe, fault_of, recipe_of

__all__ = ["PROVING", "Farm", "Job", "Work", "prove_all"]

PROVERS: Kind[Proved | NotProved] = Kind(
    "partwise.verification.zk.workers.process", msgspec.msgpack.Decoder(Proved | NotProved)
)


PROVING = Policy(elsewhere=True, deaths=24, abandon_after=1000)
"""A worker holds next to nothing: its prover's call is another process. What ends a worker is seldom the proof, so
more of them may die over one (above the 20 kills that a run must survive) before it is divided; assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """How many workers, and what each takes."""

    workers: int
    capacity: Capacity = Capacity()  # noqa: RUF009 - frozen
    """Of each worker: a task above it is divided."""
    policy: Policy = PROVING
    """What is done when a proof fails; `first_deadline_s` is the deadline of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a prover needs for one proof."""

    circuit: Circuit
    folder: Path
    """Of the circuit."""
    witness: Path
    subject: str


class Work(Protocol):
    """What is to be proved. Tasks are numbered from 0, pieces of a divided one after all that were there before."""

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What each of the first tasks needs of a worker."""
        ...

    def job(self, task: int) -> Job:
        """A task as its prover takes it."""
        ...

    def accept(self, task: int, proof: Path, measured: Measured) -> None:
        """Judge a proof that a worker has made, and keep it.

        Raises:
            ProverError: it does not hold.
        """
        ...

    def divide(self, task: int) -> tuple[Demand, ...]:
        """Cut a task into smaller ones; what each of them needs.

        Raises:
            PartwiseError: it cannot be cut.
        """
        ...

    def name(self, task: int) -> str:
        """A task for people."""
        ...

    def tell(self, incident: Incident) -> None:
        """Hear what went wrong, and what was done about it."""
        ...


def prove_all(work: Work, prover: Prover, farm: Farm, folder: Path) -> None:
    """Prove every task.

    Args:
        work: the tasks, and what becomes of them.
        prover: made again in each worker.
        farm: the workers.
        folder: where they may write; nothing of it is left.

    Raises:
        PartwiseError: a task failed wherever it was tried and could not be divided, or no worker has room for it.
    """
    demands = work.demands
    schedule = Schedule(
        Route(received=tuple(dict[int, tuple[str, ...]]() for _ in demands), returned=((),) * len(demands)),
        workers=[farm.capacity] * farm.workers,
        demands=demands,
        policy=farm.policy,
        supervised=True,
        resident=False,
    )
    with tempfile.TemporaryDirectory(prefix=".proving.", dir=folder) as scratch:
        hands = _Hands(work, recipe_of(prover), Path(scratch), schedule.story.incidents)
        try:
            driver = Driver(_Nothing(), schedule, hands, work.name)
            driver.begin()
            for _ in driver.run([{}]):
                pass
        finally:
            hands.close()


class _Nothing:
    """A proof takes and gives files: no values pass through the schedule."""

    symbols: tuple[Symbol, ...] = ()
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Output, ...] = ()


class _Hands:
    """Carries out a schedule of proofs."""

    def __init__(self, work: Work, recipe: Recipe, scratch: Path, incidents: list[Incident]) -> None:
        self._work, self._recipe, self._scratch = work, recipe, scratch
        self._incidents, self._told = incidents, 0
        self._crew = Crew(PROVERS)
        self._events = deque[Event]()
        self._tasks = dict[int, Compute]()
        self._errors = Reported()

    def start(self, worker: int) -> None:
        folder = tempfile.mkdtemp(prefix=f"worker_{worker}.", dir=self._scratch)
        self._crew.start(worker, Begin(self._recipe, folder))

    def stop(self, worker: int) -> None:
        self._crew.dismiss(worker)
        self._forget(worker)

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        del on_cpu
        self._events.append(Loaded(worker, stage))  # keys are read for each proof

    def unload(self, worker: int, stage: int) -> None:
        """A worker holds nothing between two proofs."""

    def ping(self, worker: int) -> None:
        self._crew.ping(worker)

    def divide(self, stage: int) -> Divided | Indivisible:
        try:
            demands = self._work.divide(stage)
        except PartwiseError as error:
            return Indivisible(stage, str(error))
        return Divided(stage, (Piece(inputs=(), outputs=()),) * len(demands), demands)

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:
        """There are no inputs."""

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        del sizes
        try:
            job = self._work.job(task.stage)
        except PartwiseError as error:
            self._events.append(Failed(task.ticket, Fault.FINAL, self._errors.note(task.worker, error)))
            return
        self._tasks[task.ticket] = task
        paths = (str(job.folder), str(job.witness), str(self._proof(task.ticket)))
        self._crew.post(task.worker, Prove(task.ticket, job.circuit, *paths, job.subject))

    def discard(self, ticket: int) -> None:
        """Who is stopped is not heard any more."""

    def collect(self, request: int, stage: int) -> Values:
        del request, stage
        return {}

    def release(self, request: int, sender: int) -> None:
        """There are no values."""

    def next(self, timeout_s: float | None) -> Event | None:
        self._tell()
        if self._events:
            return self._events.popleft()
        heard = self._crew.next(timeout_s)
        return None if heard is None else self._event(*heard)

    def error(self, worker: int, why: str) -> PartwiseError | None:
        return self._errors.find(worker, why)

    def close(self) -> None:
        """End all workers, and tell the end of the story."""
        self._crew.stop()
        self._tell()

    def _event(self, worker: int, message: Proved | NotProved | Pulse | Gone) -> Event:
        match message:
            case Pulse():
                return Heard(worker)
            case Gone(error):
                self._forget(worker)
                return Lost(worker, self._errors.note(worker, error))
            case NotProved():
                self._tasks.pop(message.ticket, None)
                return Failed(message.ticket, message.fault, self._errors.note(worker, error_of(message, ProverError)))
            case Proved():
                return self._proved(worker, message)

    def _proved(self, worker: int, done: Proved) -> Event:
        task, proof = self._tasks.pop(done.ticket, None), self._proof(done.ticket)
        if task is None or task.worker != worker:
            return Failed(done.ticket, Fault.LIED, "a proof that nobody asked for")
        try:
            self._work.accept(task.stage, proof, done.measured)
        except PartwiseError as error:
            return Failed(done.ticket, fault_of(error), self._errors.note(worker, error))
        finally:
            proof.unlink(missing_ok=True)
        return Finished(done.ticket, done.measured.seconds)

    def _proof(self, ticket: int) -> Path:
        return self._scratch / f"proof_{ticket}"

    def _forget(self, worker: int) -> None:
        self._tasks = {ticket: task for ticket, task in self._tasks.items() if task.worker != worker}

    def _tell(self) -> None:
        for incident in self._new():
            self._work.tell(incident)

    def _new(self) -> Iterator[Incident]:
        while self._told < len(self._incidents):
            self._told += 1
            yield self._incidents[self._told - 1]
