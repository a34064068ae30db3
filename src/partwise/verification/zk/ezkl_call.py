"""Calls of ezkl, each in a child process with limits on time and memory, and what each took."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from partwise.errors import InputError, MissingExtraError, ProverError, ProverMemoryError, ProverRefusedError
from partwise.strict_json import json_value
from partwise.verification.zk.limits import CallLimits

__all__ = ["Called", "call_ezkl", "ezkl_version", "read_left"]

_CHILD = Path(__file__).with_name("ezkl_child.py")
_HINT_MEMORY = "more --memory-limit, smaller segments (--max-layers) or fewer rows (--logrows)."
_MEMORY = re.compile(r"memory|failed to map", re.IGNORECASE)
_NEVER = re.compile(
    r"failed to load pk|failed to (load|read) srs|ser/deser|\[json\]|No such file or directory|synthesis error"
)
"""In what ezkl 23.0.5 says of files that are none of its own, missing or cut short, and of a circuit that its witness
does not fit: the same call fails the same way. Seen with each of these."""


@dataclass(frozen=True, slots=True)
class Called:
    """An answer and what it took."""

    value: Any
    seconds: float
    cpu_s: float
    peak_bytes: int


def ezkl_version() -> str:
    """The installed version.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return version("ezkl")
    except PackageNotFoundError:
        raise MissingExtraError("`ezkl`", "is not installed", hint="pip install 'partwise[zk]'") from None


def call_ezkl(function: str, subject: str, limits: CallLimits, **arguments: Any) -> Called:
    """One function of ezkl by name.

    Args:
        function: of ezkl's Python module.
        subject: what errors are about, for example `segment 2`.
        limits: of the child.
        **arguments: as the function takes them; paths may be `Path`.

    Raises:
        ProverMemoryError: it ran out of memory.
        ProverRefusedError: it fails whenever it is called so.
        ProverError: it failed, panicked, was killed or took too long.
    """
    ezkl_version()
    request = {"function": function, "arguments": arguments, "memory_bytes": limits.memory_bytes}
    threads = {} if limits.threads is None else {"RAYON_NUM_THREADS": str(limits.threads)}
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-P", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **threads, "RUST_BACKTRACE": "0"},
        start_new_session=True,
    )
    try:
        out, err = child.communicate(json.dumps(request, default=str).encode(), timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        raise ProverError(
            subject, f"`{function}` took too long", expected=f"≤ {limits.seconds:g} s", hint="--time-limit SECONDS."
        ) from None
    finally:
        _end(child)
    return _answer(function, subject, child.returncode, out, err, time.monotonic() - start)


def read_left(path: Path, function: str, subject: str) -> Any:
    """A JSON file that a call has left; ezkl 23.0.5 says nothing when the disk takes only its beginning.

    Raises:
        ProverError: it is not whole.
    """
    try:
        return json_value(path.read_bytes(), path.name)
    except (OSError, InputError):
        raise ProverError(
            subject,
            f"`{function}` left no whole `{path.name}`",
            hint="is the disk full? Then make room and call it again.",
        ) from None


def _answer(function: str, subject: str, code: int, out: bytes, err: bytes, seconds: float) -> Called:
    try:
        found: dict[str, Any] = json_value(out, function)
    except InputError:
        raise _died(function, subject, code, err) from None
    if "error" in found:
        text = " ".join(str(found["error"]).split())
        memory = _MEMORY.search(text) or found["kind"] == "MemoryError"
        what = "panicked" if found["kind"] == "PanicException" else "failed"
        said = _last_lines(err)
        kind = ProverMemoryError if memory else ProverRefusedError if _NEVER.search(text) else ProverError
        raise kind(subject, f"`{function}` {what}: {text[:400]}" + (f" ({said})" if said else ""),
                   hint=_HINT_MEMORY if memory else "")  # fmt: skip
    return Called(found["value"], seconds, float(found["cpu_s"]), int(found["peak_bytes"]))


def _died(function: str, subject: str, code: int, err: bytes) -> ProverError:
    """The child left no answer: killed, or aborted where memory ran out."""
    last = _last_lines(err)
    why = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    likely = _MEMORY.search(last) or code in (-signal.SIGKILL, -signal.SIGABRT)
    kind = ProverMemoryError if _MEMORY.search(last) else ProverError  # anybody may have killed it
    return kind(subject, f"`{function}` {why}: {last}", hint=_HINT_MEMORY if likely else "")


def _last_lines(err: bytes) -> str:
    """What the prover wrote last, without its tables."""
    lines = (line.strip() for line in err[-4000:].decode(errors="replace").splitlines())
    return "; ".join([line[:200] for line in lines if line and line[0] not in "|+<"][-2:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of the child is left, whatever happened."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
