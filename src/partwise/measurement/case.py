"""What is measured, and how: one package with what all measures of it share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from partwise.errors import InputError
from partwise.packaging import Package
from partwise.runtime.engines import stage_engines
from partwise.runtime.executors import EXECUTORS, Values
from partwise.runtime.inputs import open_inputs
from partwise.runtime.threads import default_threads
from partwise.units import format_bytes

__all__ = ["LOCAL_EXECUTORS", "Case", "Settings", "open_case", "refuse_memory"]

LOCAL_EXECUTORS = tuple(name for name in ("processes", "in-process") if name in EXECUTORS)
"""Those that need nothing but this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to measure."""

    engine: str | None = None
    threads: int | None = None
    """Of each stage; by default the cores shared among the stages."""
    in_flight: int | None = None
    """By default one more than there are stages."""
    executors: tuple[str, ...] = LOCAL_EXECUTORS
    uncut: bool = True
    """Whether to measure the uncut model too, which takes its weights as often as there are replicas."""
    seconds: float = 2.0
    rounds: int = 3
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    seed: int = 0


@dataclass(slots=True)
class Case:
    """One package with what all measures of it share."""

    package: Package
    settings: Settings
    threads: int
    in_flight: int
    inputs: Values
    engines: tuple[str, ...]

    @property
    def uncut_engine(self) -> str:
        """Who computes the uncut model: the stages' engine, or the package's where they differ."""
        return self.engines[0] if len(set(self.engines)) == 1 else self.package.manifest.engine

    @property
    def at_once(self) -> int:
        """Stages that this machine's cores can run at once."""
        return max(1, min(len(self.engines), default_threads() // self.threads))


def open_case(package: Package, settings: Settings) -> Case:
    """Settings filled in for a package.

    Raises:
        InputError: settings that are not usable.
    """
    stages = len(package.manifest.segments)
    if unknown := [name for name in settings.executors if name not in LOCAL_EXECUTORS]:
        raise InputError(f"executor `{unknown[0]}`", "cannot be measured here", expected=", ".join(LOCAL_EXECUTORS))
    return Case(
        package,
        settings,
        settings.threads or max(1, default_threads() // stages),
        settings.in_flight or stages + 1,
        next(iter(open_inputs(None, package, sizes=settings.sizes, seed=settings.seed))),
        stage_engines(settings.engine, stages, package.manifest.engine),
    )


def refuse_memory(package: Package, copies: int) -> None:
    """Raise before anything swaps: a machine that swaps measures its disk."""
    needed = copies * sum(segment.weight_bytes for segment in package.manifest.segments)
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError("bench", f"holds the weights {copies} times", expected=f"≤ {format_bytes(free)} free",
                         got=format_bytes(needed), hint="leave out `--against uncut`.")  # fmt: skip
