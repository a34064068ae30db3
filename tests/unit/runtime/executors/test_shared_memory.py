"""Values through shared memory: every layout and type arrives, slots are used again."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass

import ml_dtypes
import msgspec
import numpy as np
import pytest

from partwise.errors import RunError
from partwise.packaging.arrays import ALIGNMENT, stride_order
from partwise.runtime.executors.shared_memory import Inbox, Outbox, create_memory


@dataclass
class Link:
    outbox: Outbox
    inbox: Inbox
    descriptor: int


@pytest.fixture
def link() -> Generator[Link]:
    descriptor = create_memory()
    yield Link(Outbox(3, descriptor), Inbox(descriptor), descriptor)
    os.close(descriptor)


LAYOUTS = {
    "c": lambda a: a,
    "transposed": lambda a: a.transpose(2, 0, 1),
    "gaps": lambda a: a[:, ::2],
    "backwards": lambda a: a[::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "size one": lambda a: a[:1].transpose(1, 0, 2),
    "empty": lambda a: a[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "bool", "int64", ml_dtypes.bfloat16, ml_dtypes.int4])
def test_a_value_arrives_in_its_layout(link: Link, layout: str, dtype: str) -> None:
    value = LAYOUTS[layout](np.arange(60).reshape(3, 4, 5).astype(dtype))
    found = link.inbox.read(link.outbox.write(0, {"v": value, "scalar": value.reshape(-1)[:1].sum()[()]}))
    assert found["v"].dtype == value.dtype
    assert found["v"].tobytes() == value.tobytes()
    assert found["v"].ctypes.data % ALIGNMENT == 0 or not value.size
    if layout != "broadcast":
        assert stride_order(found["v"]) == stride_order(value)
    assert found["scalar"].shape == ()


def test_a_copy_is_the_receivers_own(link: Link) -> None:
    parcel = link.outbox.write(0, {"v": np.zeros(3)})
    found = link.inbox.read(parcel)["v"]
    link.outbox.release([parcel.slot])
    link.outbox.write(0, {"v": np.ones(3)})
    assert found.tolist() == [0, 0, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_view_lies_in_the_slot(link: Link, layout: str) -> None:
    value = LAYOUTS[layout](np.arange(60.0).reshape(3, 4, 5))
    parcel = link.outbox.write(0, {"other": np.zeros(3), "v": value})
    found = link.inbox.view(parcel)["v"]
    assert found.tolist() == value.tolist()
    assert found.ctypes.data % ALIGNMENT == 0 or not value.size
    assert not found.flags.writeable
    link.outbox.release([parcel.slot])
    more = LAYOUTS[layout](np.arange(60.0).reshape(3, 4, 5) + 1)  # the same layout
    assert link.outbox.write(0, {"other": np.zeros(3), "v": more}).slot == parcel.slot
    assert found.tolist() == more.tolist()


def test_the_same_name_in_other_sizes_and_types(link: Link) -> None:
    for value in (np.zeros(9), np.ones(8), np.ones(9, np.float32), np.ones((3, 3)).T, np.full(9, 2.0)) * 2:
        parcel = link.outbox.write(0, {"v": value})
        found = link.inbox.view(parcel)["v"]
        assert (found.dtype, found.tolist()) == (value.dtype, value.tolist())
        link.outbox.release([parcel.slot])


def test_released_slots_are_used_again(link: Link) -> None:
    for size in (1000, 1100, 900, 1 << 20, 1000):
        parcel = link.outbox.write(0, {"v": np.zeros(size)})
        link.outbox.release([parcel.slot])
    grown = os.fstat(link.descriptor).st_size
    for _ in range(50):
        parcel = link.outbox.write(0, {"v": np.zeros(1000)})
        link.outbox.release([parcel.slot])
    assert os.fstat(link.descriptor).st_size == grown


def test_slots_that_are_read_are_left_alone(link: Link) -> None:
    first, second = link.outbox.write(0, {"v": np.zeros(9)}), link.outbox.write(0, {"v": np.ones(9)})
    assert link.inbox.read(first)["v"].sum() == 0
    assert link.inbox.read(second)["v"].sum() == 9


@pytest.mark.parametrize("lie", [{"slot": 1 << 40}, {"capacity": 1 << 40}])
def test_a_slot_outside_the_memory_is_refused(link: Link, lie: dict[str, int]) -> None:
    parcel = link.outbox.write(0, {"v": np.zeros(9)})
    with pytest.raises(RunError):
        link.inbox.read(msgspec.structs.replace(parcel, **lie))


def test_a_tensor_outside_its_slot_is_refused(link: Link) -> None:
    parcel = link.outbox.write(0, {"v": np.zeros(9)})
    lying = msgspec.structs.replace(parcel.tensors[0], offset=parcel.capacity)
    with pytest.raises(RunError, match="does not lie in its slot"):
        link.inbox.read(msgspec.structs.replace(parcel, tensors=(lying,)))


def test_nothing_has_a_name(link: Link) -> None:
    link.outbox.write(0, {"v": np.zeros(9)})
    assert "partwise" not in " ".join(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else True


def test_another_process_goes_on_in_the_same_memory(link: Link) -> None:
    kept, free = (link.outbox.write(0, {"v": np.full(9, number)}) for number in (1, 2))
    end = os.fstat(link.descriptor).st_size
    slots = ((kept.slot, kept.capacity, False), (free.slot, free.capacity, True))
    successor = Outbox(3, link.descriptor, end=end, slots=slots)
    assert successor.write(0, {"v": np.zeros(9)}).slot == free.slot
    assert successor.write(0, {"v": np.zeros(9)}).slot == end
    assert link.inbox.read(kept)["v"].sum() == 9
    successor.release([kept.slot])
    assert successor.write(0, {"v": np.zeros(9)}).slot == kept.slot
