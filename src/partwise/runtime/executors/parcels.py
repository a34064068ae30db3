"""All that lies in shared memory, as the caller keeps the books: which parcel is where, and which slots are free."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence

import msgspec
import numpy as np

from partwise.errors import RunError
from partwise.runtime.executors.messages import Parcel
from partwise.runtime.executors.shared_memory import Inbox, Outbox
from partwise.runtime.route import CALLER
from partwise.runtime.schedule import Compute

__all__ = ["Parcels"]


class Parcels:
    """The parcels of a stream's requests, and the slots of each worker's memory."""

    def __init__(self, memory: Mapping[int, int]) -> None:
        self._memory = memory
        self._outbox = Outbox(CALLER, memory[CALLER])
        self._inboxes = {owner: Inbox(descriptor) for owner, descriptor in memory.items()}
        self._sent: dict[tuple[int, int], Parcel] = {}
        self._senders: dict[int, dict[str, int]] = {}
        """By request: who sent each tensor."""
        self._slots: dict[int, dict[int, int]] = {owner: {} for owner in memory}
        """Of each memory: the capacity of each slot that was ever seen."""
        self._used: dict[int, set[int]] = {owner: set() for owner in memory}
        self._released: dict[int, list[int]] = {owner: [] for owner in memory}

    def offer(self, request: int, values: Mapping[str, np.ndarray]) -> None:
        """The model's inputs for a request."""
        self._keep(request, self._outbox.write(CALLER, values))

    def accept(self, worker: int, task: Compute, parcel: Parcel) -> None:
        """What a worker sends.

        Raises:
            RunError: it does not lie where it may.
        """
        end = os.fstat(self._memory[worker]).st_size
        wrong = (parcel.memory, parcel.sender) != (worker, task.stage) or not 0 <= parcel.slot <= end - parcel.capacity
        if wrong or any(item.offset < 0 or item.offset + item.size > parcel.capacity for item in parcel.tensors):
            raise RunError(f"worker {worker}", "names memory that is not its own")
        if parcel.slot in self._used[worker]:
            raise RunError(f"worker {worker}", "writes over what is still read")
        self._slots[worker][parcel.slot] = parcel.capacity
        self._used[worker].add(parcel.slot)
        self._keep(task.request, parcel)

    def addressed(self, request: int, names: Sequence[str]) -> tuple[Parcel, ...]:
        """The parcels that hold some tensors, each with those alone."""
        senders = self._senders.get(request, {})
        wanted: dict[int, list[str]] = {}
        for name in names:
            wanted.setdefault(senders[name], []).append(name)
        return tuple(_only(self._sent[request, sender], some) for sender, some in wanted.items())

    def read(self, request: int, sender: int, names: Container[str]) -> dict[str, np.ndarray]:
        """Copies of some tensors that a stage has sent."""
        parcel = _only(self._sent[request, sender], names)
        return self._inboxes[parcel.memory].read(parcel)

    def release(self, request: int, sender: int) -> None:
        """Nobody reads a parcel any more."""
        parcel = self._sent.pop((request, sender))
        senders = self._senders[request]
        for item in parcel.tensors:
            if senders.get(item.tensor) == sender:
                del senders[item.tensor]
        if not senders:
            del self._senders[request]
        if parcel.memory == CALLER:
            self._outbox.release([parcel.slot])
        else:
            self._used[parcel.memory].discard(parcel.slot)
            self._released[parcel.memory].append(parcel.slot)

    def released(self, worker: int) -> tuple[int, ...]:
        """The slots of a worker that it may write again; it is told of each once."""
        slots, self._released[worker] = tuple(self._released[worker]), []
        return slots

    def inherited(self, worker: int) -> tuple[int, tuple[tuple[int, int, bool], ...]]:
        """What the next process of a worker takes over: the end of its memory, and the slots in it.

        A slot that its predecessor was writing when it died was never seen: what lies between the slots is one.
        """
        end = os.fstat(self._memory[worker]).st_size
        known, used = self._slots[worker], self._used[worker]
        place = 0
        for slot, capacity in sorted(known.items()):
            if slot > place:
                known[place] = slot - place
            place = slot + capacity
        if end > place:
            known[place] = end - place
        self._released[worker] = []
        return end, tuple((slot, capacity, slot not in used) for slot, capacity in sorted(known.items()))

    def _keep(self, request: int, parcel: Parcel) -> None:
        self._sent[request, parcel.sender] = parcel
        self._senders.setdefault(request, {}).update((item.tensor, parcel.sender) for item in parcel.tensors)


def _only(parcel: Parcel, names: Container[str]) -> Parcel:
    """A parcel with some of its tensors."""
    return msgspec.structs.replace(parcel, tensors=tuple(t for t in parcel.tensors if t.tensor in names))
