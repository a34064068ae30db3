"""Attributes become literals and come back byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partwise.cutting.onnx_attributes import attribute
from partwise.errors import GraphError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.onnx.attributes import attribute_argument, tensor_data
from partwise.ir.arguments import decode, encode

onnx = require("onnx")
_VALUES: dict[str, Any] = {
    "int": 3,
    "float": 0.1,
    "string": "SAME_UPPER",
    "no text": b"\xff\xfe",
    "ints": [1, 2, 3],
    "floats": [0.5, 1e-30],
    "strings": ["a", "b"],
    "tensor": onnx.numpy_helper.from_array(np.arange(6, dtype=np.float16).reshape(2, 3)),
    "scalar": onnx.numpy_helper.from_array(np.float32(2.5)),
    "words": onnx.helper.make_tensor("", onnx.TensorProto.STRING, [2], [b"x", b"y"]),
    "type": onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(1, [2, None])),
}


@pytest.mark.parametrize("kind", _VALUES)
def test_round_trip(kind: str) -> None:
    made = onnx.helper.make_attribute("a", _VALUES[kind])
    argument = attribute_argument(made, "node")
    assert decode(encode(argument)) == argument
    back = attribute("a", argument)
    if back.HasField("t"):
        assert list(back.t.string_data) == list(made.t.string_data)
        assert kind == "words" or tensor_data(back.t) == tensor_data(made.t)
        assert list(back.t.dims) == list(made.t.dims)
    else:
        assert back == made


@pytest.mark.parametrize("kind", ["INTS", "FLOATS", "STRINGS"])
def test_empty_lists_keep_their_type(kind: str) -> None:
    made = onnx.AttributeProto(name="a", type=kind)
    assert attribute("a", attribute_argument(made, "node")) == made


def test_kinds_without_a_word_are_refused() -> None:
    made = onnx.AttributeProto(name="a", type="SPARSE_TENSOR")
    with pytest.raises(UnsupportedOpError, match="SPARSE_TENSOR"):
        attribute_argument(made, "node")
    for value in (None, True, (("tensor",), 1), (("secret",), "x"), ()):
        with pytest.raises(GraphError):
            attribute("a", value)


def test_four_bit_integers_are_packed_as_onnx_packs_them() -> None:
    tensor = onnx.helper.make_tensor("t", onnx.TensorProto.INT4, [3], [1, -2, 7])
    raw = onnx.TensorProto(data_type=onnx.TensorProto.INT4, dims=[3], raw_data=tensor_data(tensor))
    assert onnx.numpy_helper.to_array(raw).tolist() == [1, -2, 7]
