"""The executor protocol: takes a stream of requests through a package's stages.

    with start_executor("processes", package, ...) as executor:   # starting, in the background where it can
        executor.ready()                                           # every stage is loaded
        for answer in executor.run(requests): ...

Leaving the block ends all that was started, whatever happened inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import msgspec
import numpy as np

from partwise.errors import PartwiseError
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.schedule import Capacity, Incident, Policy
from partwise.runtime.stage import Weights
from partwise.runtime.trace import Probe, Trace

__all__ = ["Answer", "Executor", "Options", "Progress", "Values"]

Values = Mapping[str, np.ndarray]
"""Tensors by name."""
Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is (None: unknown)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to execute."""

    engine: str
    """One for all stages, or one for each, separated by commas (`engines.stage_engines` writes it out)."""
    threads: int
    """Of each stage. The same number gives the same bits, whatever the executor."""
    in_flight: int | None = None
    """Requests under way at once; by default one more than there are stages or workers, in one process 1."""
    workers: int | None = None
    """Processes or threads; by default one a stage. With fewer, some compute several stages; with more, the heaviest
    stages have several."""
    capacity: Capacity = Capacity()  # noqa: RUF009 - frozen
    """Of each worker: it gets nothing above it, and a stage that fits none is cut smaller."""
    weights: Weights = Weights.RESIDENT
    """Whether a stage holds its weights, or reads them for each task."""
    policy: Policy = Policy()  # noqa: RUF009 - frozen
    """What is done when something fails."""
    address: str | None = None
    """Of the cluster, for executors on many machines."""
    trace: Trace | None = None
    """Filled with what was measured."""
    probe: Probe = Probe()  # noqa: RUF009 - frozen
    on_progress: Progress = lambda what, done, total: None  # noqa: ARG005
    on_incident: Callable[[Incident], None] = lambda incident: None  # noqa: ARG005
    """Told of each incident as it happens, of those too that the record has no room for."""

    def engine_of(self, stage: int) -> str:
        """The engine of a stage."""
        names = self.engine.split(",")
        return names[stage] if len(names) > 1 else self.engine


class Answer(msgspec.Struct, frozen=True):
    """A request's outputs."""

    request: int
    """Its number, from 0, in the order of the stream."""
    sizes: dict[str, int]
    """The values of the model's symbols that its inputs carry."""
    outputs: dict[str, np.ndarray]
    """By the model's names, in the model's order."""
    error: PartwiseError | None = None
    """Why there are none, where the policy is to keep going."""


class Executor(Protocol):
    """Runs a package."""

    def ready(self) -> tuple[EngineSettings, ...]:
        """Wait until every stage is loaded; what each stage's engine claims.

        Raises:
            PartwiseError: a stage could not be loaded.
        """
        ...

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What went wrong so far, and what was done about it."""
        ...

    def run(self, requests: Iterable[Values | float | None]) -> Iterator[Answer]:
        """Answers in the order of the requests, which are read one by one as there is room.

        Args:
            requests: for each, the model's inputs by name; None for "none now": it is asked again once something
                has finished, so a live source need not keep finished answers waiting; a number of seconds for "none
                before": it is asked again then at the latest. While nothing is under way it is asked again at once,
                and should wait a little itself: between two times what became of idle workers is looked at.

        Raises:
            InterfaceMismatchError: a value that does not fit.
            EngineError: a stage failed, and went on failing wherever it was repeated.
            WorkerLostError: workers died again and again.
        """
        ...

    def wake(self) -> None:
        """Let a source that had nothing be asked again at once. From any thread, also where nothing runs."""
        ...

    def close(self) -> None:
        """End everything that was started. Safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
