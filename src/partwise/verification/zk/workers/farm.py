"""Proofs on several workers: the schedule of `runtime` says which worker proves what, the hands carry it out.

A proof is a task: the proofs of a run are independent, since every witness is there. A worker proves one at a time
and reads the keys for each, so that a task takes room only while it is proved, and any worker that has the room may
take it. What a worker hands in is judged by the caller before it counts.
"""

from __future__ import annotations

from pathlib import Path

from partwise.ir import Output, Symbol
from partwise.packaging import Port
from partwise.runtime.executors.drive import Driver
from partwise.runtime.route import Route
from partwise.runtime.schedule import Demand, Schedule
from partwise.verification.zk.prover import Prover
from partwise.verification.zk.workers.hands import ProvingHands
from partwise.verification.zk.workers.messages import recipe_of
from partwise.verification.zk.workers.work import Farm, Work

__all__ = ["prove_all"]


def prove_all(work: Work, prover: Prover, farm: Farm, folder: Path) -> None:
    """Prove every task.

    Args:
        work: the tasks, and what becomes of them.
        prover: made again in each worker.
        farm: the workers.
        folder: where they may write; the caller removes it.

    Raises:
        PartwiseError: a task failed wherever it was tried and could not be divided, its prover will never prove it, or
            no worker has room for it.
    """
    schedule = _schedule(farm, work.demands)
    hands = ProvingHands(work, recipe_of(prover), folder, schedule.story.incidents)
    try:
        driver = Driver(_Nothing(), schedule, hands, work.name)
        driver.begin()
        for _ in driver.run([{}]):
            pass
    finally:
        hands.close()


def _schedule(farm: Farm, demands: tuple[Demand, ...]) -> Schedule:
    return Schedule(
        Route(received=tuple(dict[int, tuple[str, ...]]() for _ in demands), returned=((),) * len(demands)),
        workers=[farm.capacity] * farm.workers,
        demands=demands,
        policy=farm.policy,
        supervised=True,
        resident=False,
    )


class _Nothing:
    """A proof takes and gives files: no values pass through the schedule."""

    symbols: tuple[Symbol, ...] = ()
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Output, ...] = ()
