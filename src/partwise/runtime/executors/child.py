"""What every process that an executor starts begins with: its messages, and a pulse that ends it with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from typing import TypeVar

import msgspec

from partwise.machine import allow_open_files
from partwise.runtime.executors.messages import Channel

__all__ = ["open_channel"]

_PULSE_BYTES = 64
Heard = TypeVar("Heard")


def open_channel(decoder: msgspec.msgpack.Decoder[Heard]) -> Channel[Heard]:
    """The way to the parent, from the two sockets in the arguments.

    A thread of its own answers the parent's pings and ends the process when the parent is gone, so that not even a
    long computation outlives it. An interrupt from the terminal is the parent's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_open_files()
    connection, pulse = (socket.socket(fileno=int(argument)) for argument in sys.argv[1:3])
    threading.Thread(target=_beat, args=(pulse,), daemon=True).start()
    return Channel(connection, decoder)


def _beat(pulse: socket.socket) -> None:
    """Send each byte back as a sign of life; end the process at once when the other side is gone."""
    with contextlib.suppress(OSError):
        while data := pulse.recv(_PULSE_BYTES):
            pulse.send(data)
    os._exit(1)
