"""The rules of retries, shares and deadlines, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

__all__ = ["Policy"]

_LONGEST_S = 1e6
"""Eleven days: what systems let a program wait for (epoll_wait(2) counts milliseconds in 31 bits)."""
Count = Annotated[int, msgspec.Meta(ge=1)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_S)]
Time = Annotated[float, msgspec.Meta(gt=0, le=_LONGEST_S)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Factor = Annotated[float, msgspec.Meta(ge=1, le=1e6)]
"""Ranges of the figures, which a configuration is held to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is done when something fails.

    The figures are assumed, none is measured: seed 001 names the rules (retries with backoff, three failures in a
    row exclude) and leaves their sizes open.
    """

    attempts: Count = 3
    """Failures of a task before its stage is divided, or its request given up."""
    deaths: Count = 4
    """Workers that may die over a task before it counts as what kills them; then as above."""
    backoff_s: Wait = 0.05
    """Wait before a task's first repetition after a failure; doubled each time. A worker's death costs no wait."""
    most_backoff_s: Wait = 5.0
    lowered: Share = 0.5
    """A failure multiplies its worker's share of the work by this; a success brings it back as far."""
    least_share: Share = 0.125
    exclude_after: Count = 3
    """Failures in a row after which a worker is left alone."""
    exclude_s: Wait = 5.0
    """For so long."""
    abandon_after: Count = 6
    """Failures in a row of every worker that could run a stage after which the run ends."""
    tick_s: Time = 0.5
    """How often workers are asked for a sign of life, and deadlines are looked at."""
    heartbeat_s: Time = 15.0
    """A loaded worker that is silent for so long is taken for dead."""
    start_s: Time = 60.0
    """One that loads its first stage is, after so long: an engine's libraries may keep it from answering meanwhile."""
    load_s: Time = 900.0
    """How long loading a stage may take."""
    first_deadline_s: Time = 900.0
    """How long a task may take while nothing is known about its stage."""
    least_deadline_s: Time = 30.0
    deadline_factor: Factor = 20.0
    """Later: so many times the longest that its stage has taken, and at least the figure above."""
    elsewhere: bool = False
    """A task that failed on a worker, or lost it, waits for another one, however busy, while there is one."""
    divide: bool = True
    """Cut a stage that keeps failing into smaller ones."""
    cpu_fallback: bool = False
    """Send a stage whose device is missing, full or failing to the CPU."""
    keep_going: bool = False
    """A request that cannot be computed is answered with its error; by default it ends the run."""
