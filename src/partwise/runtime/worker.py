"""A worker: one stage in a process of its own. Started as `python -m partwise.runtime.worker <socket>`.

It reads its own segment from the package, computes the tasks it is sent, and ends when its parent hangs up, for
whatever reason: a thread of its own watches the socket, so that not even a long computation outlives the parent.
An interrupt from the terminal is the parent's to handle.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path

import numpy as np

from partwise.errors import EngineError, PackageError, PartwiseError, WorkerLostError
from partwise.packaging import open_package
from partwise.runtime.engines import make_engine
from partwise.runtime.executors.messages import Channel, Done, Failed, Load, Loaded, Parcel, Task
from partwise.runtime.executors.shared_memory import Inbox, Outbox
from partwise.runtime.stage import Stage
from partwise.runtime.trace import HandoverSpan, measured

__all__ = ["main", "serve"]


def main() -> None:
    """The process's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    serve(Channel(connection))
    os._exit(0)  # the engine's own threads take their time to end, and hold nothing worth waiting for


def serve(channel: Channel) -> None:
    """Load a stage, then compute tasks until the other side hangs up or something fails."""
    try:
        load = channel.receive()
        if not isinstance(load, Load):
            return
        worker = _Worker(load)
        channel.send(Loaded(worker.stage.settings))
        while isinstance(task := channel.receive(), Task):
            channel.send(worker.compute(task))
    except PartwiseError as error:
        _report(channel, error)
    except Exception as error:  # noqa: BLE001 - the worker's loop: the parent must learn of every failure
        _report(channel, EngineError("worker", f"failed with {type(error).__name__}: {error}"))


class _Worker:
    """A stage, and the memory it reads and writes."""

    def __init__(self, load: Load) -> None:
        package = open_package(Path(load.package))
        if package.digest != load.digest:
            raise PackageError(load.package, "was changed while it was being run", expected=load.digest,
                               got=package.digest)  # fmt: skip
        self._number, self._load = load.stage, load
        self._inboxes = {sender: Inbox(memory) for sender, memory in load.memory.items() if sender != load.stage}
        self._outbox = Outbox(load.stage, load.memory[load.stage])
        self.stage = Stage(package, load.stage, make_engine(load.engine, load.threads))

    def compute(self, task: Task) -> Done:
        """Copy a task's values in, run the stage, copy its outputs into a slot."""
        self._outbox.release(task.released)
        values: dict[str, np.ndarray] = {}
        handovers = tuple(self._receive(task.request, parcel, values) for parcel in task.parcels)
        computed = self.stage.compute(task.request, values, task.sizes, self._load.probe)
        parcel = self._outbox.write(computed.outputs)
        return Done(
            request=task.request, parcel=parcel, segment=computed.segment, handovers=handovers, nodes=computed.nodes
        )

    def _receive(self, request: int, parcel: Parcel, values: dict[str, np.ndarray]) -> HandoverSpan:
        found, took = measured(lambda: self._inboxes[parcel.sender].read(parcel), memory=self._load.probe.memory)
        values.update(found)
        return HandoverSpan(
            request=request,
            sender=parcel.sender,
            receiver=self._number,
            start_s=parcel.start_s,
            end_s=took.end_s,
            copy_s=parcel.copy_s + took.end_s - took.start_s,
            bytes=sum(item.size for item in parcel.tensors),
            values=len(parcel.tensors),
            resident_bytes=took.resident_bytes,
            peak_bytes=took.peak_bytes,
        )


def _report(channel: Channel, error: PartwiseError) -> None:
    with contextlib.suppress(WorkerLostError):  # a parent that is gone needs no report
        parts = (error.subject, error.what, error.expected, error.got, error.hint)
        channel.send(Failed(type(error).__name__, *parts))


def _end_with(descriptor: int) -> None:
    """End the process at once when the socket's other side is gone; POLLHUP is reported without being asked for."""
    poll = select.poll()
    poll.register(descriptor, 0)
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
