"""A proving worker. Started as `python -m partwise.verification.zk.workers.process <socket> <pulse>`.

It proves one witness after the other; a failure is reported, and it goes on. It ends when its parent hangs up, for
whatever reason, and its prover's call with it. An interrupt from the terminal is the parent's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

import partwise.errors
from partwise.errors import PartwiseError, ProverError, WorkerLostError
from partwise.runtime.executors.messages import Channel
from partwise.verification.zk.workers.messages import Begin, NotProved, Prove, Proved, Recipe, fault_of

__all__ = ["main"]

_PULSE_BYTES = 64
_DECODER: msgspec.msgpack.Decoder[Begin | Prove] = msgspec.msgpack.Decoder(Begin | Prove)


def main() -> None:
    """The process's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection, pulse = (socket.socket(fileno=int(argument)) for argument in sys.argv[1:3])
    threading.Thread(target=_beat, args=(pulse,), daemon=True).start()
    _serve(Channel(connection, _DECODER))
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
    name = next(kind.__name__ for kind in type(known).__mro__ if kind.__name__ in partwise.errors.__all__)
    parts = (known.subject, known.what, known.expected, known.got, known.hint)
    return NotProved(task.ticket, fault_of(error), name, *parts)


def _beat(pulse: socket.socket) -> None:
    """Send each byte back as a sign of life; end the process at once when the other side is gone."""
    with contextlib.suppress(OSError):
        while data := pulse.recv(_PULSE_BYTES):
            pulse.send(data)
    os._exit(1)


if __name__ == "__main__":
    main()
