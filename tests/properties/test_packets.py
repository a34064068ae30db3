"""A packet comes back as it was sent: type, shape, layout, every bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from partwise.ir import DType
from partwise.packaging.arrays import numpy_dtype, stride_order
from partwise.runtime.engines import EngineSettings
from partwise.runtime.packet import (
    Failure,
    Packet,
    Result,
    Work,
    decode_packet,
    encode_packet,
    join_frames,
    packet_schema,
    split_frames,
    tensor_heads,
)

SETTINGS = EngineSettings(engine="null", version="1", device="none", threads=2)
TYPES = [dtype for dtype in DType if dtype not in (DType.STRING, DType.OPAQUE)]
IDS = {"run": "0" * 32, "package": "sha256:" + "a" * 64}


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Any type, any small shape, any layout; the bits are arbitrary where the type allows any."""
    dtype = draw(st.sampled_from(TYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    order = draw(st.permutations(range(len(shape))))
    size = int(np.prod(shape)) * numpy_dtype(dtype).itemsize
    few = {DType.BOOL: 2, DType.UINT4: 16, DType.INT4: 16}.get(dtype, 256)
    seed = draw(st.integers(0, 2**32))
    raw = np.random.default_rng(seed).integers(0, few, size, dtype=np.uint8)
    array = raw.view(numpy_dtype(dtype)).reshape([shape[dim] for dim in order])
    return array.transpose(np.argsort(order)) if shape else array


@settings(max_examples=60)
@given(
    st.dictionaries(st.text(max_size=8), arrays(), max_size=3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**62),
)
def test_a_packet_comes_back(values: dict[str, np.ndarray], digests: bool, is_work: bool, number: int) -> None:
    common: dict[str, Any] = {**IDS, "stage": number % 97, "request": number, "attempt": number % 3}
    common["tensors"] = tensor_heads(values, digests=digests)
    packet: Packet = (
        Work(**common, deadline_s=0.5, sizes={"batch": number % 9})
        if is_work
        else Result(**common, settings=SETTINGS, compute_s=0.25)
    )
    sent = encode_packet(packet, values)
    for frames in (sent, split_frames(join_frames(sent))):
        found, back = decode_packet(frames)
        assert found == packet
        assert list(back) == list(values)
        for name, value in values.items():
            assert back[name].dtype == value.dtype
            assert back[name].shape == value.shape
            assert np.ascontiguousarray(back[name]).tobytes() == np.ascontiguousarray(value).tobytes()
            assert not value.size or stride_order(back[name]) == stride_order(value)


def test_a_failure_comes_back() -> None:
    packet = Failure(**IDS, stage=1, request=2, error="EngineError", subject="stage 1", what="failed", got="NaN")
    assert decode_packet(encode_packet(packet)) == (packet, {})


def test_the_published_schema_is_that_of_the_code() -> None:
    path = Path(__file__).parents[2] / "docs" / "data" / "packet.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(packet_schema()))


@pytest.mark.parametrize("digests", [True, False])
def test_a_layout_is_part_of_the_value(digests: bool) -> None:
    value = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    work = Work(**IDS, stage=0, request=0, sizes={}, tensors=tensor_heads({"x": value}, digests=digests))
    _, back = decode_packet(encode_packet(work, {"x": value}))
    assert back["x"].strides == value.strides
    assert back["x"].ctypes.data % 64 == 0
