"""The bandwidth governor: admits work so that the memory bus stays under a set share of its roof.

Pure: it knows no clock and no bus. Samples of the bus and requests to begin come in with their times; how long to
wait goes out. Tokens are bytes: they come at a rate, at most `burst_s` seconds' worth lie ready, and a task takes as
many as it moves, into debt if need be, so that a task larger than the burst runs too, and pays by the wait after it.

    over any time T:  bytes admitted ≤ rate · T + burst + the largest task

Who asks first goes first, and the first waits no longer than debt ÷ rate: nobody starves. Where something measures
the whole bus, the rate follows the measure (other programs' traffic, and traffic that was not accounted); where the
only measure is our own account, the rate is the limit itself.

Source of the bound: the token bucket of RFC 2697, section 3, with debt; the controller is an integral one (its gain
is assumed, and tried on a simulated bus: tests/unit/runtime/test_governor.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from partwise.errors import InputError

__all__ = ["ACCOUNTED", "Accounted", "Chain", "Governor", "Provider", "Sample", "microbatch"]

ACCOUNTED = "accounted"
_GAIN = 0.5
"""Of the controller: the share of a relative error that one sample takes back (assumed)."""
_LEAST_RATE, _MOST_RATE = 1 / 64, 8.0
"""Of the limit: how far the controller may go; work goes on however busy others keep the bus (assumed)."""
_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the bus carried."""

    bytes_per_s: float
    provider: str
    """Who measured it."""


class Provider(Protocol):
    """One way to know what the bus carries."""

    @property
    def name(self) -> str:
        """For the samples."""
        ...

    def read(self, now_s: float) -> float | None:
        """Bytes a second since the last reading; None where there is none yet, or no such counter here."""
        ...


class Chain:
    """Providers in the order of their trust: the first that reads something is believed."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)

    def sample(self, now_s: float) -> Sample | None:
        """What the bus carries now, and who says so."""
        for provider in self._providers:
            found = provider.read(now_s)
            if found is not None:
                return Sample(bytes_per_s=found, provider=provider.name)
        return None


class Accounted:
    """Bytes that our own tasks moved, by their account, over the last second: weights, inputs and outputs once each.

    A lower bound of their traffic, blind to everybody else's.
    """

    name = ACCOUNTED

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._tasks: deque[tuple[float, float, int]] = deque()

    def add(self, start_s: float, end_s: float, size: int) -> None:
        """A task that is done."""
        self._tasks.append((start_s, end_s, size))

    def read(self, now_s: float) -> float | None:
        """See `Provider`."""
        begin_s = now_s - self._window_s
        while self._tasks and self._tasks[0][1] <= begin_s:
            self._tasks.popleft()
        return sum(size * _share(start, end, begin_s) for start, end, size in self._tasks) / self._window_s


@dataclass(slots=True)
class Governor:
    """See the module."""

    roof_bytes_per_s: float
    """What the bus can carry: calibrated, or a catalog's figure."""
    share: float
    """Of it that may be used, 0 to 1."""
    burst_s: float = 0.05
    """How much may be admitted at once, in seconds at the limit."""
    rate_bytes_per_s: float = field(init=False)
    """At which tokens come now."""
    last: Sample | None = field(init=False, default=None)
    _tokens: float = field(init=False, default=0.0)
    _at_s: float | None = field(init=False, default=None)
    _waited: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError("bandwidth share", "must be above 0 and at most 1", got=self.share)
        if self.roof_bytes_per_s <= 0 or self.burst_s <= 0:
            raise InputError("bandwidth", "roof and burst must be above 0",
                             got=f"{self.roof_bytes_per_s}, {self.burst_s}")  # fmt: skip
        self.rate_bytes_per_s = self.limit_bytes_per_s
        self._tokens = self.limit_bytes_per_s * self.burst_s

    @property
    def limit_bytes_per_s(self) -> float:
        """What the bus may carry."""
        return self.share * self.roof_bytes_per_s

    def wait_s(self, now_s: float) -> float:
        """How long until the next task may begin; 0 for now. Asking takes nothing."""
        self._refill(now_s)
        if self._tokens > 0:
            return 0.0
        self._waited = True
        return (1.0 - self._tokens) / self.rate_bytes_per_s

    def begin(self, now_s: float, size: int) -> None:
        """A task that moves so many bytes begins."""
        self._refill(now_s)
        self._tokens -= size

    def observe(self, sample: Sample) -> None:
        """Follow a measure of the bus. The rate rises only if something waited for it."""
        self.last = sample
        if sample.provider == ACCOUNTED:
            return
        limit = self.limit_bytes_per_s
        error = (limit - sample.bytes_per_s) / limit
        if error < 0 or self._waited:
            changed = self.rate_bytes_per_s * (1 + _GAIN * max(-1.0, error))
            self.rate_bytes_per_s = min(max(changed, limit * _LEAST_RATE), limit * _MOST_RATE)
        self._waited = False

    def _refill(self, now_s: float) -> None:
        if self._at_s is not None and now_s > self._at_s:
            most = self.limit_bytes_per_s * self.burst_s
            self._tokens = min(most, self._tokens + (now_s - self._at_s) * self.rate_bytes_per_s)
        self._at_s = now_s if self._at_s is None else max(now_s, self._at_s)


def microbatch(*, weight_bytes: int, row_bytes: int, rows_per_s: float, limit_bytes_per_s: float, largest: int) -> int:
    """The smallest number of rows to run together with which so many rows a second stay under the limit.

    A run of b rows moves `weight_bytes + b · row_bytes`, so a second's rows move `rows_per_s · (weight_bytes / b +
    row_bytes)`: more rows a run, fewer times the weights. Where no number will do, the largest moves the least.
    """
    room = limit_bytes_per_s - rows_per_s * row_bytes
    if room <= 0:
        return largest
    needed = -int(-(rows_per_s * weight_bytes) // room)
    return min(max(1, needed), largest)


def _share(start_s: float, end_s: float, begin_s: float) -> float:
    """Of a task, how much lies after a time."""
    if end_s <= start_s:
        return 1.0 if end_s > begin_s else 0.0
    return max(0.0, end_s - max(start_s, begin_s)) / (end_s - start_s)
