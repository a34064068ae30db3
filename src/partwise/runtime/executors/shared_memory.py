"""Shared memory without a name: one file a sender, in slots that are used again.

The file never has a name (`memfd_create`, elsewhere a temporary file that is unlinked at once), so nothing can stay
behind, whatever dies. It grows by adding slots; a slot's place and capacity never change, so a mapping of it stays
good in every process. A capacity is a power of two: slots fit again when sizes vary, and pages never written take
no memory. Writers and readers agree by messages who may touch a slot; the memory itself has no locks.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from partwise.errors import RunError
from partwise.ir import DType
from partwise.packaging.arrays import ALIGNMENT, aligned_empty, numpy_dtype, stride_order
from partwise.runtime.executors.messages import Packed, Parcel

__all__ = ["Inbox", "Outbox", "create_memory"]

_SMALLEST_SLOT = mmap.ALLOCATIONGRANULARITY
_FEWER = "each slot takes an open file (`ulimit -n`) in each process that maps it: --in-flight."
_REMEMBERED = 1024
"""Layouts and views: making one takes some µs, a hand-over of 8 KB takes about 30."""
Key = TypeVar("Key")
Found = TypeVar("Found")


def create_memory() -> int:
    """A file descriptor of an empty file in memory, which child processes can be given.

    Raises:
        RunError: the system gives none.
    """
    try:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("partwise", os.MFD_CLOEXEC)
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        hint = "each worker takes four open files (`ulimit -n`): --workers."
        raise RunError("shared memory", f"cannot be made ({error.strerror})", hint=hint) from None


class Outbox:
    """What one process writes: parcels into slots of its own file."""

    def __init__(
        self, owner: int, descriptor: int, *, end: int = 0, slots: Iterable[tuple[int, int, bool]] = ()
    ) -> None:
        """Write to a file.

        Args:
            owner: whose memory it is: a worker's number, or the caller's.
            descriptor: of the file.
            end: bytes of it that another process has used before.
            slots: what lies there: (slot, capacity, whether nobody reads it any more).
        """
        self._owner, self._descriptor = owner, descriptor
        self._end = end
        self._free: dict[int, list[int]] = {}
        self._capacity: dict[int, int] = {}
        self._maps: dict[int, mmap.mmap] = {}
        self._packed: dict[object, tuple[tuple[Packed, ...], int]] = {}
        self._views: dict[object, tuple[np.ndarray, ...]] = {}
        for slot, capacity, is_free in slots:
            self._capacity[slot] = capacity
            if is_free:
                self._free.setdefault(capacity, []).append(slot)

    def write(self, sender: int, values: Mapping[str, np.ndarray]) -> Parcel:
        """Copy what a stage, or the caller, sends into a slot, each dense in its own layout on a 64-byte boundary."""
        start = time.monotonic()
        kind = tuple((name, value.dtype, value.shape, value.strides) for name, value in values.items())
        if (found := self._packed.get(kind)) is None:
            found = _remember(self._packed, kind, _pack(values))
        packed, size = found
        slot, capacity = self._take(size)
        if (views := self._views.get((slot, kind))) is None:
            memory = self._map(slot, capacity)
            views = _remember(self._views, (slot, kind), tuple(_laid_out(memory, item) for item in packed))
        for view, value in zip(views, values.values(), strict=True):
            np.copyto(view, value)
        return Parcel(sender, self._owner, slot, capacity, packed, start, time.monotonic() - start)

    def release(self, slots: Iterable[int]) -> None:
        """Everyone has read these slots: they may be written again."""
        for slot in slots:
            self._free.setdefault(self._capacity[slot], []).append(slot)

    def _take(self, size: int) -> tuple[int, int]:
        capacity = max(_SMALLEST_SLOT, 1 << (size - 1).bit_length())
        if free := self._free.get(capacity):
            return free.pop(), capacity
        slot, self._end = self._end, self._end + capacity
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError as error:
            hint = "--executor in-process needs none; `ulimit -f` limits it too."
            raise RunError("shared memory", f"cannot grow to {self._end} bytes ({error.strerror})", hint=hint) from None
        self._capacity[slot] = capacity
        return slot, capacity

    def _map(self, slot: int, capacity: int) -> mmap.mmap:
        if slot not in self._maps:
            self._maps[slot] = _mapped(self._descriptor, slot, capacity, mmap.ACCESS_WRITE)
        return self._maps[slot]


class Inbox:
    """What one receiver reads of one sender's memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._maps: dict[int, mmap.mmap] = {}
        self._views: dict[tuple[int, tuple[Packed, ...]], dict[str, np.ndarray]] = {}

    def view(self, parcel: Parcel) -> dict[str, np.ndarray]:
        """A parcel's tensors where they lie, in the sender's layout, aligned, read-only: good until it is released."""
        key = (parcel.slot, parcel.tensors)
        if (found := self._views.get(key)) is None:
            memory = self._map(parcel)
            found = {item.tensor: _laid_out(memory, _checked(item, parcel)) for item in parcel.tensors}
            _remember(self._views, key, found)
        return found

    def read(self, parcel: Parcel) -> dict[str, np.ndarray]:
        """Copies of a parcel's tensors, in aligned memory of our own and in the sender's layout."""
        found: dict[str, np.ndarray] = {}
        for item, view in zip(parcel.tensors, self.view(parcel).values(), strict=True):
            found[item.tensor] = owned = aligned_empty(item.shape, view.dtype, item.order)
            owned[...] = view
        return found

    def _map(self, parcel: Parcel) -> mmap.mmap:
        memory = self._maps.get(parcel.slot)
        if memory is None:
            if parcel.slot + parcel.capacity > os.fstat(self._descriptor).st_size:
                raise RunError(f"slot {parcel.slot} of {parcel.sender}", "lies outside the shared memory")
            memory = _mapped(self._descriptor, parcel.slot, parcel.capacity, mmap.ACCESS_READ)
            self._maps[parcel.slot] = memory
        return memory


def _mapped(descriptor: int, slot: int, capacity: int, access: int) -> mmap.mmap:
    """A slot in this process's memory. Python holds an open file for each."""
    try:
        return mmap.mmap(descriptor, capacity, offset=slot, access=access)
    except OSError as error:
        raise RunError("shared memory", f"cannot be mapped ({error.strerror})", hint=_FEWER) from None


def _pack(values: Mapping[str, np.ndarray]) -> tuple[tuple[Packed, ...], int]:
    """Where each value goes in a slot, and the bytes that all take."""
    packed, end = list[Packed](), 0
    for name, value in values.items():
        item = Packed(name, DType(value.dtype.name), value.shape, stride_order(value), end, value.nbytes)
        packed.append(item)
        end += -(-value.nbytes // ALIGNMENT) * ALIGNMENT
    return tuple(packed), max(end, 1)


def _checked(item: Packed, parcel: Parcel) -> Packed:
    if item.offset + item.size > parcel.capacity:
        raise RunError(f"`{item.tensor}` from {parcel.sender}", "does not lie in its slot")
    return item


def _laid_out(memory: mmap.mmap, item: Packed) -> np.ndarray:
    """A tensor's bytes in a slot, as an array in its own layout."""
    data = np.frombuffer(memory, dtype=np.uint8, count=item.size, offset=item.offset)
    dense = data.view(numpy_dtype(item.dtype)).reshape([item.shape[dim] for dim in item.order])
    return dense.transpose(sorted(range(len(item.order)), key=item.order.__getitem__))


def _remember(known: dict[Key, Found], key: Key, found: Found) -> Found:
    """Keep something that will be asked for again; where sizes vary without end, start anew at times."""
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = found
    return found
