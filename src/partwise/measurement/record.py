"""What a measurement leaves: rates, latencies, and their shares of what is possible."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.runtime.engines import EngineSettings

__all__ = ["BENCH_VERSION", "Arrangement", "Bench", "Machine", "StageTime", "Uncut"]

BENCH_VERSION = "partwise.bench/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it was measured."""

    processor: str
    cores: int
    """That this process may use."""
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncut:
    """The whole model as one segment, in processes that each hold all of it."""

    replicas: int
    threads: int
    """Of each."""
    per_s: float
    """Requests in a second, of all replicas together; the median over rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage, measured with no other at work."""

    stage: int
    engine: str
    planned_s: float | None
    """What the package's plan says, on the plan's own device; None where the plan says nothing."""
    planned_device: str | None
    compute_s: float
    """Median of lone requests."""
    copy_s: float
    """Copying what it receives, the sender's side included; median of lone requests."""
    weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """The package's stages under one executor."""

    executor: str
    in_flight: int
    per_s: float
    """Requests in a second with so many in flight; the median over rounds."""
    latency_s: float
    """Of a request alone; the median."""
    caller_s: float
    """What the caller itself works for a request, handing over and collecting."""
    stages: tuple[StageTime, ...]
    predicted_per_s: float | None
    """From the times of its lone stages and the contention of the uncut replicas; None where nothing was compared."""
    of_ceiling: float | None
    """Rate over that of the replicas; the median of the rounds' ratios."""
    of_uncut: float | None
    """Rate over that of the uncut model on as many threads as all stages have together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that was measured of a package."""

    version: str
    package: str
    """Digest."""
    model: str
    machine: Machine
    engines: tuple[EngineSettings, ...]
    sizes: dict[str, int]
    """Of the requests' inputs."""
    seconds: float
    """Of each measure in each round."""
    rounds: int
    ceiling: Uncut | None
    """As many uncut replicas as there are stages at work at once, on a stage's threads each."""
    lone: Uncut | None
    """One of them alone."""
    uncut: Uncut | None
    """One with the threads of all stages together."""
    arrangements: tuple[Arrangement, ...]
    notes: tuple[str, ...] = ()
