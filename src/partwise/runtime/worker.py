"""A worker: some stages in a process of its own. Started as `python -m partwise.runtime.worker <socket> <pulse>`.

It reads its own segments from the package and computes the tasks it is sent; a failure is reported, and it goes on.
It ends when its parent hangs up, for whatever reason: a thread of its own answers the parent's pings and watches for
the end, so that not even a long computation outlives the parent. An interrupt from the terminal is the parent's.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from partwise.error_parts import parts_of
from partwise.errors import PackageError, WorkerLostError
from partwise.freed_memory import keep_freed
from partwise.packaging import Package, open_package
from partwise.runtime.engines import Engine, make_engine
from partwise.runtime.executors.child import open_channel
from partwise.runtime.executors.messages import (
    DECODER,
    Begin,
    Channel,
    Done,
    Failed,
    Load,
    Loaded,
    Message,
    Parcel,
    Task,
    Unload,
)
from partwise.runtime.executors.shared_memory import Inbox, Outbox
from partwise.runtime.faults import as_partwise, fault_of
from partwise.runtime.memory import give_back
from partwise.runtime.stage import Stage
from partwise.runtime.trace import HandoverSpan, measured

__all__ = ["main", "serve"]


def main() -> None:
    """The process's whole life."""
    keep_freed()
    serve(open_channel(DECODER))
    os._exit(0)  # the engine's own threads take their time to end, and hold nothing worth waiting for


def serve(channel: Channel[Message]) -> None:
    """Load stages and compute tasks until the other side hangs up."""
    begin = channel.receive()
    if not isinstance(begin, Begin):
        return
    worker = _Worker(begin)
    with contextlib.suppress(WorkerLostError):  # a parent that is gone needs no report
        while (message := channel.receive()) is not None:
            reply = _reply(worker, message)
            if reply is not None:
                channel.send(reply)


def _reply(worker: _Worker, message: Message) -> Message | None:
    try:
        match message:
            case Load():
                return worker.load(message)
            case Task():
                return worker.compute(message)
            case Unload(stage):
                worker.unload(stage)
                return None
            case _:
                return None
    except Exception as error:  # noqa: BLE001 - the worker's loop: the parent must learn of every failure
        return _failed(message, error)


class _Worker:
    """Stages, and the memory they read and write."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._package: Package | None = None
        self._engines: dict[tuple[str, int], Engine] = {}
        self._stages: dict[int, Stage] = {}
        self._inboxes = {owner: Inbox(memory) for owner, memory in begin.memory.items()}
        self._outbox = Outbox(begin.worker, begin.memory[begin.worker], end=begin.end, slots=begin.slots)

    def load(self, load: Load) -> Loaded:
        """Read a segment, and make it ready."""
        package = self._open()
        load.weights.settle()
        kind = (load.engine, load.threads)
        if kind not in self._engines:
            self._engines[kind] = make_engine(*kind)
        self._stages[load.stage] = Stage(package, load.stage, self._engines[kind], load.piece, load.weights)
        return Loaded(load.stage, self._stages[load.stage].settings)

    def unload(self, stage: int) -> None:
        """Forget a stage, if it is here."""
        self._stages.pop(stage, None)
        give_back()

    def compute(self, task: Task) -> Done:
        """Copy a task's values in, run the stage, copy its outputs into a slot."""
        self._outbox.release(task.released)
        values: dict[str, np.ndarray] = {}
        handovers = tuple(self._receive(task, parcel, values) for parcel in task.parcels)
        computed = self._stages[task.stage].compute(task.request, values, task.sizes, self._begin.probe)
        parcel = self._outbox.write(task.stage, computed.outputs)
        return Done(
            ticket=task.ticket, parcel=parcel, segment=computed.segment, handovers=handovers, nodes=computed.nodes
        )

    def _open(self) -> Package:
        if self._package is None:
            begin, package = self._begin, open_package(Path(self._begin.package))
            if package.digest != begin.digest:
                raise PackageError(begin.package, "was changed while it was being run", expected=begin.digest,
                                   got=package.digest)  # fmt: skip
            self._package = package
        return self._package

    def _receive(self, task: Task, parcel: Parcel, values: dict[str, np.ndarray]) -> HandoverSpan:
        found, took = measured(lambda: self._inboxes[parcel.memory].view(parcel), memory=self._begin.probe.memory)
        values.update(found)
        return HandoverSpan(
            request=task.request,
            sender=parcel.sender,
            receiver=task.stage,
            start_s=parcel.start_s,
            end_s=took.end_s,
            copy_s=parcel.copy_s + took.end_s - took.start_s,
            bytes=sum(item.size for item in parcel.tensors),
            values=len(parcel.tensors),
            resident_bytes=took.resident_bytes,
            peak_bytes=took.peak_bytes,
        )


def _failed(message: Message, error: Exception) -> Failed | None:
    """What the parent learns of a failure."""
    if not isinstance(message, Load | Task):
        return None
    ticket = message.ticket if isinstance(message, Task) else None
    return Failed(message.stage, ticket, fault_of(error), *parts_of(as_partwise("worker", error)))


if __name__ == "__main__":
    main()
