"""The rules of retries, shares and deadlines, in one record."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is done when something fails.

    The figures are assumed, none is measured: seed 001 names the rules (retries with backoff, three failures in a
    row exclude) and leaves their sizes open.
    """

    attempts: int = 3
    """Failures of a task before its stage is divided, or its request given up."""
    deaths: int = 4
    """Workers that may die over a task before it counts as what kills them; then as above."""
    backoff_s: float = 0.05
    """Wait before a task's first repetition after a failure; doubled each time. A worker's death costs no wait."""
    most_backoff_s: float = 5.0
    lowered: float = 0.5
    """A failure multiplies its worker's share of the work by this; a success brings it back as far."""
    least_share: float = 0.125
    exclude_after: int = 3
    """Failures in a row after which a worker is left alone."""
    exclude_s: float = 5.0
    """For so long."""
    abandon_after: int = 6
    """Failures in a row of every worker that could run a stage after which the run ends."""
    tick_s: float = 0.5
    """How often workers are asked for a sign of life, and deadlines are looked at."""
    heartbeat_s: float = 15.0
    """A loaded worker that is silent for so long is taken for dead."""
    start_s: float = 60.0
    """One that loads its first stage is, after so long: an engine's libraries may keep it from answering meanwhile."""
    load_s: float = 900.0
    """How long loading a stage may take."""
    first_deadline_s: float = 900.0
    """How long a task may take while nothing is known about its stage."""
    least_deadline_s: float = 30.0
    deadline_factor: float = 20.0
    """Later: so many times the longest that its stage has taken, and at least the figure above."""
    elsewhere: bool = False
    """A task that failed on a worker, or lost it, waits for another one, however busy, while there is one."""
    divide: bool = True
    """Cut a stage that keeps failing into smaller ones."""
    cpu_fallback: bool = False
    """Send a stage whose device is missing, full or failing to the CPU."""
    keep_going: bool = False
    """A request that cannot be computed is answered with its error; by default it ends the run."""
