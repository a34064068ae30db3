"""What workers have reported as errors: kept by worker, until the schedule says which of them ends a request."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from partwise.errors import PartwiseError

__all__ = ["Reported", "after_attempts"]

_REMEMBERED = 64
"""Errors of one worker: more than its tasks under way have attempts (assumed)."""


class Reported:
    """The last errors of each worker.

    The schedule knows an error by its words alone; by them it is found again, with its type and its parts.
    """

    def __init__(self) -> None:
        self._errors: dict[int, deque[PartwiseError]] = {}

    def note(self, worker: int, error: PartwiseError) -> str:
        """One error more; its words."""
        known = self._errors.setdefault(worker, deque(maxlen=_REMEMBERED))
        if known:  # where it happened is kept of the last one alone: it holds the task's values
            known[-1].__traceback__ = known[-1].__cause__ = None
        known.append(error)
        return str(error)

    def find(self, worker: int, why: str) -> PartwiseError | None:
        """The error that a worker reported in these words."""
        return next((error for error in reversed(self._errors.get(worker, ())) if str(error) == why), None)

    def last(self) -> PartwiseError | None:
        """Some worker's last error; None where there was none."""
        return next((errors[-1] for errors in self._errors.values()), None)


def after_attempts(error: PartwiseError, tried: Sequence[int]) -> PartwiseError:
    """The same error, saying how often it was tried and on which workers.

    Args:
        error: of the last attempt.
        tried: the worker of each attempt; none leaves the error as it is.
    """
    if not tried:
        return error
    *others, last = map(str, sorted(set(tried)))
    where = f"on workers {', '.join(others)} and {last}" if others else f"on worker {last}"
    times = "1 attempt" if len(tried) == 1 else f"{len(tried)} attempts"
    what = f"{error.what.rstrip('.')} ({times}, {where})"
    told = type(error)(error.subject, what, expected=error.expected, got=error.got, hint=error.hint)
    told.__cause__ = error.__cause__
    return told.with_traceback(error.__traceback__)
