"""The caller's books of shared memory: what a worker says is checked, and what one leaves behind is inherited."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from partwise.errors import InterfaceMismatchError, RunError
from partwise.ir import DType
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.executors.messages import Packed, Parcel
from partwise.runtime.executors.parcels import Parcels
from partwise.runtime.executors.shared_memory import Outbox, create_memory
from partwise.runtime.schedule import Compute, Indivisible
from tests.packages import small_package

TASK = Compute(ticket=0, request=4, stage=1, worker=0)


@pytest.fixture
def memory() -> Generator[dict[int, int]]:
    found = {owner: create_memory() for owner in (-1, 0)}
    yield found
    for descriptor in found.values():
        os.close(descriptor)


def test_what_a_worker_sends_is_read_and_released_once(memory: dict[int, int]) -> None:
    parcels, worker = Parcels(memory), Outbox(0, memory[0])
    parcels.accept(0, TASK, worker.write(1, {"a": np.arange(3.0), "b": np.zeros(2)}))
    assert parcels.read(4, 1, {"a"})["a"].tolist() == [0, 1, 2]
    (addressed,) = parcels.addressed(4, ("b",))
    assert [item.tensor for item in addressed.tensors] == ["b"]
    parcels.release(4, 1)
    assert parcels.released(0) == (addressed.slot,)
    assert parcels.released(0) == ()
    with pytest.raises(KeyError):
        parcels.release(4, 1)


@pytest.mark.parametrize(
    "lie",
    [
        {"memory": -1},
        {"sender": 0},
        {"slot": 1 << 40},
        {"slot": -4096},
        {"capacity": 1 << 40},
        {"tensors": (Packed("a", DType.FLOAT64, (3,), (0,), 1 << 30, 24),)},
        {"tensors": (Packed("a", DType.FLOAT64, (3,), (0,), -64, 24),)},
    ],
)
def test_memory_that_is_not_its_own_is_refused(memory: dict[int, int], lie: dict[str, object]) -> None:
    parcels = Parcels(memory)
    parcel = Outbox(0, memory[0]).write(1, {"a": np.arange(3.0)})
    with pytest.raises(RunError, match="not its own"):
        parcels.accept(0, TASK, msgspec.structs.replace(parcel, **lie))


def test_writing_over_what_is_read_is_refused(memory: dict[int, int]) -> None:
    parcels = Parcels(memory)
    parcel = Outbox(0, memory[0]).write(1, {"a": np.arange(3.0)})
    parcels.accept(0, TASK, parcel)
    with pytest.raises(RunError, match="still read"):
        parcels.accept(0, Compute(ticket=1, request=5, stage=1, worker=0), parcel)


def test_a_successor_inherits_every_slot(memory: dict[int, int]) -> None:
    """Those that are read, those that are free, and the one that was being written."""
    parcels, worker = Parcels(memory), Outbox(0, memory[0])
    read, free = (worker.write(1, {"a": np.zeros(9)}) for _ in range(2))
    unseen, last = (worker.write(1, {"a": np.zeros(9)}) for _ in range(2))
    parcels.accept(0, TASK, read)
    parcels.accept(0, Compute(ticket=1, request=5, stage=1, worker=0), free)
    parcels.accept(0, Compute(ticket=2, request=6, stage=1, worker=0), last)
    worker.write(1, {"a": np.zeros(9)})  # at the end, never reported
    parcels.release(5, 1)
    end, slots = parcels.inherited(0)
    state = {slot: is_free for slot, _, is_free in slots}
    assert state == {read.slot: False, free.slot: True, unseen.slot: True, last.slot: False, last.slot + 4096: True}
    assert end == last.slot + 8192
    successor = Outbox(0, memory[0], end=end, slots=slots)
    for _ in range(3):
        successor.write(1, {"a": np.ones(9)})
    assert os.fstat(memory[0]).st_size == end  # nothing is lost for good
    assert parcels.read(4, 1, {"a"})["a"].sum() == 0


LIES: dict[str, Callable[[Packed], tuple[Packed, ...]]] = {
    "another shape": lambda item: (msgspec.structs.replace(item, shape=(2, 5), size=40),),
    "no possible shape": lambda item: (msgspec.structs.replace(item, shape=(1 << 40, 1 << 40)),),
    "a negative shape": lambda item: (msgspec.structs.replace(item, shape=(-2, -4)),),
    "another type": lambda item: (msgspec.structs.replace(item, dtype=DType.FLOAT64, size=64),),
    "another name": lambda item: (msgspec.structs.replace(item, tensor="first"),),
    "nothing": lambda item: (),  # noqa: ARG005
    "too much": lambda item: (item, msgspec.structs.replace(item, tensor="more")),
    "a length": lambda item: (msgspec.structs.replace(item, size=16),),
    "a layout": lambda item: (msgspec.structs.replace(item, order=(1, 1)),),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_workers_word_is_checked(tmp_path: Path, lie: str) -> None:
    interfaces = Interfaces(small_package(tmp_path / "package", "null"))
    item = Packed("active", DType.FLOAT32, (2, 4), (0, 1), 0, 32)
    parcel = Parcel(0, 0, 0, 4096, (item,), 0.0, 0.0)
    interfaces.check(0, parcel, {"batch": 2})
    with pytest.raises((InterfaceMismatchError, RunError)):
        interfaces.check(0, msgspec.structs.replace(parcel, tensors=LIES[lie](item)), {"batch": 2})


def test_a_package_without_a_plan_is_not_divided(tmp_path: Path) -> None:
    assert isinstance(Interfaces(small_package(tmp_path / "package", "null")).divide(0), Indivisible)
