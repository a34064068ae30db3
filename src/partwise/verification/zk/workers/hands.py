"""The hands of a farm: carry out what the schedule of proofs says, and tell it what came of it."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import msgspec

from partwise.error_parts import error_of
from partwise.errors import PartwiseError, ProverError
from partwise.runtime.executors.executor import Values
from partwise.runtime.executors.reported import Reported
from partwise.runtime.executors.worker_process import Crew, Gone, Kind, Pulse
from partwise.runtime.route import Piece
from partwise.runtime.schedule import (
    Compute,
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
)
from partwise.verification.zk.workers.messages import Begin, NotProved, Prove, Proved, Recipe, fault_of
from partwise.verification.zk.workers.work import Work

__all__ = ["ProvingHands"]

PROVERS: Kind[Proved | NotProved] = Kind(
    "partwise.verification.zk.workers.process", msgspec.msgpack.Decoder(Proved | NotProved)
)


class ProvingHands:
    """See the module, and `runtime.executors.drive.Hands` for each of its functions."""

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
        took = done.measured
        if not all(isfinite(figure) and figure >= 0 for figure in (took.seconds, took.cpu_s, took.peak_bytes)):
            return Failed(done.ticket, Fault.LIED, "a proof that took no time that there is")
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
        while self._told < len(self._incidents):
            self._told += 1
            self._work.tell(self._incidents[self._told - 1])
