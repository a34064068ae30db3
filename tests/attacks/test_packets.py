"""Hostile packets: each is refused before anything is made of it."""

from __future__ import annotations

import pickle
import random
from typing import Any

import msgspec
import numpy as np
import pytest

from partwise.errors import RunError
from partwise.runtime.packet import (
    LIMITS,
    Work,
    decode_packet,
    encode_packet,
    join_frames,
    split_frames,
    tensor_heads,
)

VALUES = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "mask": np.array([True, False])}


def work() -> Work:
    return Work(
        run="0" * 32,
        package="sha256:" + "a" * 64,
        stage=1,
        request=7,
        sizes={"batch": 2},
        tensors=tensor_heads(VALUES),
    )


def changed(header: dict[str, Any] | None = None, **tensor: Any) -> list[Any]:
    """An honest packet's frames, with fields of its header or of its first tensor changed."""
    frames = encode_packet(work(), VALUES)
    data = msgspec.msgpack.decode(frames[0])
    data["tensors"][0].update(tensor)
    data.update(header or {})
    return [msgspec.msgpack.encode(data), *frames[1:]]


def test_the_honest_one_is_taken() -> None:
    assert decode_packet(changed())[0] == work()


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "header"),
        ([b""], "header"),
        ([b"\xc1"], "header"),
        ([b"\x91" * 100_000], "header"),
        ([pickle.dumps({"version": "partwise.packet/1"})], "header"),
        ([b"\0" * (LIMITS["header"] + 1)], "too long"),
        (changed({"version": "partwise.packet/2"}), "another version"),
        (changed({"version": 1}), "header"),
        (changed({"kind": "shell"}), "shell"),
        (changed({"command": "rm"}), "unknown field"),
        (changed({"stage": -1}), "stage"),
        (changed({"request": 2**63}), "request"),
        (changed({"attempt": "0"}), "attempt"),
        (changed({"deadline_s": float("nan")}), "deadline_s"),
        (changed({"deadline_s": float("inf")}), "deadline_s"),
        (changed({"deadline_s": 0.0}), "deadline_s"),
        (changed({"trace": "00-zz"}), "trace"),
        (changed({"run": "0" * 31}), "run"),
        (changed({"package": "sha256:" + "a" * 64 + "\n"}), "package"),
        (changed({"sizes": {"batch": -1}}), "sizes"),
        (changed({"sizes": {str(n): 1 for n in range(257)}}), "sizes"),
        (changed({"tensors": []}), "another number of frames"),
        (changed(dtype="object"), "dtype"),
        (changed(dtype="opaque"), "does not travel"),
        (changed(dtype="string"), "does not travel"),
        (changed(dtype="float64"), "not those of its shape"),
        (changed(shape=[2, 4]), "not those of its shape"),
        (changed(shape=[-2, -3]), "shape"),
        (changed(shape=[2**49, 0]), "shape"),
        (changed(shape=[2**48] * 8, order=list(range(8))), "not those of its shape"),
        (changed(shape=[2.0, 3.0]), "shape"),
        (changed(shape=[1] * 63 + [2, 3], order=list(range(65))), "shape"),
        (changed(order=[0, 0]), "order"),
        (changed(order=[0]), "order"),
        (changed(order=[0, 2]), "order"),
        (changed(size=23), "not those of its shape"),
        (changed(size=2**48), "larger than"),
        (changed(digest="sha256:" + "0" * 64), "its digest names"),
        (changed(digest="md5:0"), "digest"),
        (changed(name="mask"), "twice"),
        (changed(name="x" * 1025), "name"),
        (changed(pickled=True), "unknown field"),
        (changed()[:2], "another number of frames"),
        ([*changed(), b""], "another number of frames"),
        ([*changed()[:2], b"\1\2"], "no elements of its type"),
        ([*changed()[:2], b"\1"], "not those of its shape"),
    ],
)
def test_each_is_refused(frames: list[Any], said: str) -> None:
    with pytest.raises(RunError) as refused:
        decode_packet(frames)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin"),
        (b"PWP1", "does not begin"),
        (b"PWP2" + b"\0" * 9, "does not begin"),
        (b"PWP1" + b"\xff" * 8, "longer than all"),
        (join_frames(changed())[:-1], "not what its header says"),
        (join_frames(changed()) + b"\0", "not what its header says"),
        (join_frames(changed(size=2**48)), "not what its header says"),
    ],
)
def test_a_lying_length_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(RunError, match=said):
        split_frames(data)


def test_no_tensor_without_elements_has_an_absurd_shape() -> None:
    """Its bytes are as promised, none; numpy refuses such a shape with an error of its own, on the link's thread."""
    frames = changed(shape=[0, 2**48, 2**48], order=[0, 1, 2], size=0, digest=None)
    with pytest.raises(RunError, match="that of no tensor"):
        decode_packet([frames[0], b"", *frames[2:]])


def test_a_receiver_may_take_less() -> None:
    with pytest.raises(RunError, match="larger than the 10 bytes"):
        decode_packet(changed(), max_bytes=10)


def test_damaged_bytes_never_pass_or_crash() -> None:
    """Any single changed byte is refused or leaves another honest header; a tensor's bytes are held by its digest."""
    whole, chance = bytearray(join_frames(changed())), random.Random(3)
    passed = 0
    for _ in range(3000):
        place, value = chance.randrange(len(whole)), chance.randrange(256)
        if whole[place] == value:
            continue
        damaged = bytearray(whole)
        damaged[place] = value
        try:
            _, values = decode_packet(split_frames(damaged))
        except RunError:
            continue
        passed += 1
        assert sorted(value.tobytes() for value in values.values()) == sorted(v.tobytes() for v in VALUES.values())
    assert passed > 0
