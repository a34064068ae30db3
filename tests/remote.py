"""Workers of other machines without Ray: threads of this process, with real links between them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from partwise.packaging import Package
from partwise.runtime import executors
from partwise.runtime.executors import Executor, Options
from partwise.runtime.remote.executor import Remote
from partwise.runtime.remote.handshake import Invitation, Statement
from partwise.runtime.remote.members import Arrived, Change, Departed
from partwise.runtime.remote.worker import Settings, Worker
from partwise.runtime.schedule import Capacity

__all__ = ["Threads", "start_executor"]


def start_executor(name: str, package: Package, options: Options) -> Executor:
    """Any executor; `ray` with two workers that are threads."""
    if name != "ray":
        return executors.start_executor(name, package, options)
    return Remote(package, options, Threads(options.workers or 2))


class Threads:
    """Members that are threads."""

    def __init__(
        self, count: int, cache: Path | None = None, *, package: str | None = None, capacity: Capacity | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory() if cache is None else None
        cache = cache or Path(self._folder.name)
        self.workers: dict[int, Worker] = {}
        self.count, self._capacity = count, capacity or Capacity()
        self.settings = [Settings(cache=cache / str(number), package=package) for number in range(count)]

    def start(self, invite: Callable[[int], Invitation], report: Callable[[Change], None]) -> int:
        self._invite, self._report = invite, report
        for number in range(self.count):
            self.arrive(number)
        return self.count

    def arrive(self, number: int) -> None:
        self.workers[number] = Worker(self._invite(number), self.settings[number], address="127.0.0.1")
        self._report(Arrived(number, self.stated(number), self._capacity))

    def stated(self, number: int) -> Statement:
        return self.workers[number].statement

    def kill(self, number: int) -> None:
        """As if its machine had lost power: its links fall silent."""
        self.workers.pop(number).close()
        self._report(Departed(number, "killed"))

    def restart(self, number: int) -> None:
        self.kill(number)
        self.arrive(number)

    def close(self) -> None:
        while self.workers:
            self.workers.popitem()[1].close()
        if self._folder is not None:
            self._folder.cleanup()
