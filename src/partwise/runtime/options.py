"""How a run is made: one record for all that can be asked of `run_package`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from partwise.errors import InputError
from partwise.packaging import Package
from partwise.runtime.engines import stage_engines
from partwise.runtime.exactness import DIFFERENCE_LIMIT
from partwise.runtime.executors import Options, Progress
from partwise.runtime.pace import Pace
from partwise.runtime.schedule import Capacity, Policy
from partwise.runtime.stage import Weights
from partwise.runtime.threads import default_threads
from partwise.runtime.trace import Probe, Trace

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """See the module; whatever is left out has its default."""

    executor: str = "in-process"
    """`in-process`, or `processes`: one a stage, or `ray`: on other machines. All give the same bytes."""
    address: str | None = None
    """Of the Ray cluster, for the executor `ray`."""
    threads: int | None = None
    """Of each stage's engine; by default the physical cores that this process may use."""
    engine: str | None = None
    """Another engine than the one that the segments were cut for, or one for each stage
    (`partwise.runtime.engines.spec`); the record then says so."""
    max_difference: float = DIFFERENCE_LIMIT
    """How far engines without an exact way may be from the exact one, over an output's largest value."""
    in_flight: int | None = None
    """Requests of a stream under way at once."""
    workers: int | None = None
    """Processes (or threads, in process with more than one request in flight); by default one a stage."""
    capacity: Capacity | None = None
    """Of each worker: it gets nothing above it, and a stage that fits none is cut smaller."""
    weights: Weights = Weights.RESIDENT
    """Whether a stage holds its weights, or reads them for each task."""
    policy: Policy | None = None
    """What is done when something fails."""
    pace: Pace | None = None
    """Holds requests back while the machine or its memory bus is too busy."""
    sizes: Mapping[str, int] | None = None
    """Values of the model's symbols, for random inputs."""
    seed: int = 0
    """Of random inputs."""
    save: bool = True
    """Leave a run folder."""
    run_dir: str | Path | None = None
    """The folder of run folders; by default `run/` beside the package."""
    trace: str | Path | None = None
    """A file for what was measured (`partwise.runtime.trace`)."""
    trace_nodes: bool = False
    """Measure each node too."""
    trace_format: str = "partwise"
    """Or `perfetto` for the format of Perfetto and chrome://tracing."""
    live: Trace | None = None
    """A trace that is filled while it runs, for whoever watches."""
    on_progress: Progress | None = None
    """Called with (what, done, total)."""

    def execution(self, package: Package, *, spans: bool) -> Options:
        """What an executor is told.

        Args:
            package: what is run.
            spans: somebody wants to know what was measured, even if no file does.

        Raises:
            InputError: a number that is none of these.
        """
        for what, number in (("threads", self.threads), ("in flight", self.in_flight), ("workers", self.workers)):
            if number is not None and number < 1:
                raise InputError(what, "must be at least 1", got=number)
        wanted = self.trace is not None or spans
        return Options(
            engine=",".join(stage_engines(self.engine, len(package.manifest.segments), package.manifest.engine)),
            threads=self.threads or default_threads(),
            in_flight=self.in_flight,
            workers=self.workers,
            capacity=self.capacity or Capacity(),
            weights=self.weights,
            address=self.address,
            policy=self.policy or Policy(),
            trace=Trace() if self.live is None and wanted else self.live,
            probe=Probe(
                memory=self.trace is not None or self.live is not None,
                nodes=self.trace is not None and self.trace_nodes,
            ),
            on_progress=self.on_progress or _silent,
        )

    def folder(self, package: Package) -> Path | None:
        """Where run folders go; None where none is left."""
        if not self.save:
            return None
        return Path(self.run_dir) if self.run_dir is not None else package.path.resolve().parent / "run"


def _silent(what: str, done: int, total: int | None) -> None:
    pass
