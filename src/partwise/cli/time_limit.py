"""An end to work that nothing else ends: operators of a stranger's package may compute for years."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator

from partwise.cli.mistakes import report
from partwise.errors import VerifyError

__all__ = ["time_limit"]

_GRACE_S = 10.0
"""After that the system ends the process (SIGALRM), should an operator hold Python's lock (assumed margin)."""


@contextlib.contextmanager
def time_limit(seconds: float | None, subject: str, *, as_json: bool) -> Generator[None]:
    """End this process with an error where what is inside takes longer; a kernel can be interrupted in no other way.

    Only for what leaves nothing half done: no `with` block is left, nothing is tidied up.

    Args:
        seconds: None for no limit.
        subject: what takes so long.
        as_json: how to show the error.
    """
    if seconds is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            hint = "a stranger's package may compute without end; a longer --time-limit tells."
            error = VerifyError(subject, "took longer than its time limit", expected=f"≤ {seconds:g} s", hint=hint)
            os._exit(report(error, as_json=as_json))

    threading.Thread(target=watch, daemon=True).start()
    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_S)
    try:
        yield
    finally:
        done.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
