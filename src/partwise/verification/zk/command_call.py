"""One call of a caller's program, within limits of time and memory; nothing of it is left, whatever happened."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess

from partwise.errors import ProverError, ProverRefusedError
from partwise.verification.zk.limits import CallLimits

__all__ = ["call_program", "last_line"]

_NO_PROGRAM = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, errno.E2BIG})
"""What no repetition cures of a program that cannot be started; memory and processes come back."""


def call_program(command: list[str], limits: CallLimits, what: str, subject: str) -> tuple[int, bytes]:
    """Exit code and error output of a program within limits; nothing of it is left, whatever happened."""
    count = limits.threads
    threads = {} if count is None else dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS"), str(count))
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **threads},
            start_new_session=True,
        )
    except OSError as error:
        kind = ProverRefusedError if error.errno in _NO_PROGRAM else ProverError
        raise kind(subject, f"`{command[0][-80:]}` cannot be run ({error.strerror})") from None
    except ValueError:
        raise ProverRefusedError(subject, "a template holds a character that no argument may") from None
    try:
        if limits.memory_bytes is not None:
            resource.prlimit(child.pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        _, err = child.communicate(timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        expected = f"≤ {limits.seconds:g} s"
        raise ProverError(subject, f"{what} took too long", expected=expected, hint="--time-limit SECONDS.") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    return child.returncode, err


def last_line(err: bytes) -> str:
    lines = [line.strip() for line in err[-4000:].decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:400] if lines else ""
