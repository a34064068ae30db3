"""What the feeding thread is given: a package with all that says how to run it, and whom to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from partwise.errors import PartwiseError
from partwise.packaging import Package
from partwise.runtime.exactness import DIFFERENCE_LIMIT
from partwise.runtime.executors import Options
from partwise.runtime.governor import microbatch
from partwise.runtime.pace import Pace, traffic_bytes
from partwise.runtime.schedule import Incident
from partwise.runtime.trace import Trace
from partwise.serving.batching import batch_symbol

__all__ = ["Observer", "Setup"]


class Observer(Protocol):
    """Is told what happens, in the feeding thread."""

    def answered(self, rows: int) -> None:
        """A batch is done."""
        ...

    def measured(self, trace: Trace) -> None:
        """What was measured since the last time."""
        ...

    def incident(self, incident: Incident) -> None:
        """Something went wrong, and the executor went on."""
        ...

    def restarted(self, error: PartwiseError) -> None:
        """The executor itself failed, and another is started."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the feeding thread runs; a reload replaces it whole."""

    package: Package
    executor: str
    options: Options
    max_batch: int
    batch_delay_s: float
    max_difference: float = DIFFERENCE_LIMIT
    pace: Pace = Pace()  # noqa: RUF009 - holds nothing back
    adaptive: bool = False
    """Let the governor of the pace choose how many rows up to `max_batch`."""

    @property
    def symbol(self) -> str | None:
        """Along which requests can be joined; None where they cannot."""
        return batch_symbol(self.package.manifest)

    def traffic(self, rows: int, sizes: Mapping[str, int]) -> int:
        """Bytes that a run of so many rows moves by our account, at these other sizes."""
        symbol = self.symbol
        return traffic_bytes(self.package.manifest, {**sizes, **({} if symbol is None else {symbol: rows})})

    def microbatch(self, rows_per_s: float, sizes: Mapping[str, int]) -> int:
        """How many rows keep the bus under its limit where so many come a second; the largest without a governor."""
        if self.pace.governor is None or self.symbol is None:
            return self.max_batch
        one, two = self.traffic(1, sizes), self.traffic(2, sizes)
        return microbatch(
            weight_bytes=2 * one - two,
            row_bytes=two - one,
            rows_per_s=rows_per_s,
            limit_bytes_per_s=self.pace.governor.limit_bytes_per_s,
            largest=self.max_batch,
        )
