"""What a stage keeps from one request to the next: one worker has it, and sees every request once, in order.

A stage like any other may have several workers, lose one, and compute again what failed. One that keeps something
(a buffer that the model writes) would answer wrongly then, and nobody would know. So the run ends with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from partwise.errors import RunError
from partwise.packaging import Package
from partwise.runtime.schedule import Compute

__all__ = ["Keeping"]


class Keeping:
    """Watches who computes what; the graph is read only where that would matter.

    Args:
        package: what is run.
        origin: the segments that pieces are of.
    """

    def __init__(self, package: Package, origin: Mapping[int, int]) -> None:
        self._package, self._origin = package, origin
        self._holders: dict[int, int] = {}
        """By stage: the worker that has loaded it first."""
        self._last: dict[int, int] = {}
        """By stage: the request of its last task."""

    def load(self, worker: int, stage: int) -> None:
        """Before a stage is loaded.

        Raises:
            RunError: it has worked already, and what it keeps is lost; or another worker has it.
        """
        if self._holders.setdefault(stage, worker) != worker:
            self._refuse(stage, "has several workers", "no more workers than stages.")
        if self._home(stage) in set(map(self._home, self._last)):
            self._refuse(stage, "would begin anew: a worker or an attempt failed", "run the stream again.")

    def compute(self, task: Compute) -> None:
        """Before a task is handed over.

        Raises:
            RunError: its stage has seen this request or a later one.
        """
        if 0 < task.request <= self._last.get(task.stage, -1):  # another stream begins with 0
            self._refuse(task.stage, "would see a request again or too late", "run the stream again.")
        self._last[task.stage] = task.request

    def _home(self, stage: int) -> int:
        return self._origin.get(stage, stage)

    def _refuse(self, stage: int, what: str, hint: str) -> None:
        name = self._kept.get(self._home(stage))
        if name is not None:
            raise RunError(f"segment {self._home(stage)}", f"keeps `{name}` between requests and {what}", hint=hint)

    @cached_property
    def _kept(self) -> dict[int, str]:
        """By segment: the first weight that a request changes."""
        graph = self._package.graph()
        written = {mutation.target for mutation in graph.kept} if graph else set[str]()
        entries = enumerate(self._package.manifest.segments)
        held = ((number, [w.tensor for w in entry.weights if w.tensor in written]) for number, entry in entries)
        return {number: names[0] for number, names in held if names}
