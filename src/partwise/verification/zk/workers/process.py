"""A proving worker. Started as `python -m partwise.verification.zk.workers.process <socket> <pulse>`.

It proves one witness after the other; a failure is reported, and it goes on. It ends when its parent hangs up, for
whatever reason, and its prover's call with it. An interrupt from the terminal is the parent's.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec

from partwise.error_parts import parts_of
from partwise.errors import PartwiseError, ProverError, WorkerLostError
from partwise.runtime.executors.child import open_channel
from partwise.runtime.executors.messages import Channel
from partwise.verification.zk.workers.messages import Begin, NotProved, Prove, Proved, Recipe, fault_of

__all__ = ["main"]

_DECODER: msgspec.msgpack.Decoder[Begin | Prove] = msgspec.msgpack.Decoder(Begin | Prove)


def main() -> None:
    """The process's whole life."""
    _serve(open_channel(_DECODER))
    os._exit(0)


def _serve(channel: Channel[Begin | Prove]) -> None:
    begin = channel.receive()
    if not isinstance(begin, Begin):
        return
    tempfile.tempdir = begin.scratch
    with contextlib.suppress(WorkerLostError):  # a parent that is gone needs no report
        while isinstance(task := channel.receive(), Prove):
            channel.send(_attempt(begin.prover, task))


def _attempt(prover: Recipe, task: Prove) -> Proved | NotProved:
    try:
        paths = (Path(task.folder), Path(task.witness), Path(task.out))
        return Proved(task.ticket, prover.make().prove(task.circuit, *paths, task.subject))
    except Exception as error:  # noqa: BLE001 - the worker's loop: the parent must learn of every failure
        return _failed(task, error)


def _failed(task: Prove, error: Exception) -> NotProved:
    known = error if isinstance(error, PartwiseError) else ProverError(task.subject, f"{type(error).__name__}: {error}")
    return NotProved(task.ticket, fault_of(error), *parts_of(known))


if __name__ == "__main__":
    main()
