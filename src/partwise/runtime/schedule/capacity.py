"""What a stage needs, what a worker has, and which worker gets which stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Capacity", "Demand", "assign", "has_room", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a stage needs of a worker."""

    bytes: int = 0
    """As long as the worker has it: weights and activations at their peak, or what is left of them in between."""
    computing_bytes: int = 0
    """Beside these while a task of it is computed, where its weights are streamed: a worker computes one at a time."""
    parameters: int = 0
    layers: int = 0
    work: float = 1.0
    """Its cost beside that of other stages, in any unit (FLOPs): heavy stages get more workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a worker takes at most; None where it does not say."""

    bytes: int | None = None
    parameters: int | None = None
    layers: int | None = None

    def shortage(self, demands: Iterable[Demand]) -> str | None:
        """What is too much of, in words; None where all fit together."""
        given = tuple(demands)
        computing = max((demand.computing_bytes for demand in given), default=0)
        for name, most in (("bytes", self.bytes), ("parameters", self.parameters), ("layers", self.layers)):
            needed = sum(getattr(demand, name) for demand in given) + (computing if name == "bytes" else 0)
            if most is not None and needed > most:
                return f"needs {needed} {name}, has {most}"
        return None


def has_room(capacity: Capacity, held: Iterable[int], stage: int, demands: Sequence[Demand]) -> bool:
    """Whether a worker that holds some stages can hold one more."""
    return capacity.shortage(demands[number] for number in {*held, stage}) is None


def assign(
    demands: Sequence[Demand], capacities: Mapping[int, Capacity], active: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Stages by worker: each stage once, heaviest first, to the least loaded worker with room; idle workers then
    take a second copy of the stage that has most work for each of its workers.

    Args:
        demands: of all stages, by number.
        capacities: of the workers.
        active: the stages to assign; one that fits no worker is in no worker's share.
    """
    given: dict[int, list[int]] = {worker: [] for worker in sorted(capacities)}
    for stage in sorted(active, key=lambda number: (-demands[number].work, number)):
        fitting = [w for w in given if has_room(capacities[w], given[w], stage, demands)]
        if fitting:
            least = min(fitting, key=lambda w: (sum(demands[s].work for s in given[w]), w))
            given[least].append(stage)
    for worker in [w for w in given if not given[w]]:
        fitting = [s for s in active if has_room(capacities[worker], (), s, demands)]
        copies = {s: sum(s in held for held in given.values()) for s in fitting}
        if fitting:
            given[worker].append(max(fitting, key=lambda s: (demands[s].work / max(copies[s], 1), -s)))
    return {worker: tuple(sorted(stages)) for worker, stages in given.items()}


def spread(
    demands: Sequence[Demand], capacities: Mapping[int, Capacity], active: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Stages by worker where they take room only while they are computed: to each worker all that fit it alone."""
    return {
        worker: tuple(stage for stage in active if has_room(capacity, (), stage, demands))
        for worker, capacity in sorted(capacities.items())
    }
