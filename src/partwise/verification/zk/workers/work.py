"""What a farm is asked: how many workers, which proofs, and who judges and divides them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from partwise.runtime.schedule import Capacity, Demand, Incident, Policy
from partwise.verification.zk.prover import Circuit, Measured

__all__ = ["PROVING", "Farm", "Job", "Work"]

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
