"""The protocol as data: what is read, what is refused, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from partwise.errors import InputError, PartwiseError
from partwise.packaging import Manifest
from partwise.serving.kserve import DATATYPES, decode_request, encode_response, model_metadata
from tests.packages import small_package


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return small_package(tmp_path_factory.mktemp("kserve") / "package", "null").manifest


def binary(x: bytes, mask: bytes, **changes: Any) -> tuple[bytes, int]:
    inputs = [
        {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}} | changes,
        {"name": "mask", "shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}},
    ]
    header = json.dumps({"inputs": inputs}).encode()
    return header + x + mask, len(header)


X = np.arange(4, dtype=np.float32).tobytes()


def test_bytes_become_the_values_that_they_are(manifest: Manifest) -> None:
    asked = decode_request(*binary(X, b"\1"), manifest)
    assert asked.values["x"].tolist() == [[0, 1, 2, 3]]
    assert asked.values["mask"].tolist() == [True]
    assert asked.values["x"].ctypes.data % 64 == 0
    assert [output.name for output in asked.outputs] == ["y"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (binary(X, b"\2"), "no truth values"),
        (binary(X[:-1], b""), "not those of its shape"),
        (binary(X, b""), "not those of its shape"),
        (binary(X, b"\1more"), "bytes follow"),
        (binary(X, b"\1", shape=[1, 5]), "not those of its shape"),
        (binary(X, b"\1", shape=[2**62, 2**62]), "no shape"),
        (binary(X, b"\1", shape=[1] * 65), "no shape"),
        (binary(X, b"\1", data=[1]), "data as well"),
        (binary(X, b"\1", parameters={"binary_data_size": -16}), "not those of its shape"),
        (binary(X, b"\1", parameters={"binary_data_size": "16"}), "not those of its shape"),
        (binary(X, b"\1", name="mask", datatype="BOOL", shape=[16]), "no truth values"),
        (binary(b"\1" * 16, b"\1", name="mask", datatype="BOOL", shape=[16]), "given twice"),
        ((b'{"inputs": [{"name": "\xff"}]}', None), "no inference request"),
        ((b"[" * 100_000, None), "no inference request"),
        ((b'{"inputs": [], "outputs": [{"name": "z"}]}', None), "output `z`: is unknown"),
        ((b'{"inputs": [], "parameters": {"sequence_id": 3}}', None), "sequence_id"),
    ],
)
def test_what_is_refused(manifest: Manifest, body: tuple[bytes, int | None], said: str) -> None:
    with pytest.raises(PartwiseError) as refused:
        decode_request(*body, manifest)
    assert said in str(refused.value)


@pytest.mark.parametrize("dtype", list(DATATYPES))
def test_every_type_is_answered_as_bytes_and_as_json(manifest: Manifest, dtype: str) -> None:
    value = np.array([[0, 1, 1]]).astype(getattr(ml_dtypes, dtype, dtype))
    for ask in (True, False):
        header = json.dumps({"inputs": [], "parameters": {"binary_data_output": ask}}).encode()
        asked = decode_request(header, None, manifest)
        content, length = encode_response(asked, {"y": value}, {"model_name": "small"})
        told = json.loads(content[:length])
        (output,) = told["outputs"]
        assert output["shape"] == [1, 3]
        assert output["datatype"] == DATATYPES[dtype]  # pyright: ignore
        if ask:
            assert content[length:] == value.tobytes()
            assert output["parameters"] == {"binary_data_size": value.nbytes}
        else:
            assert output["data"] == [0, 1, 1]


def test_numbers_that_json_lacks_are_refused_not_changed(manifest: Manifest) -> None:
    asked = decode_request(b'{"inputs": []}', None, manifest)
    with pytest.raises(InputError, match="binary_data"):
        encode_response(asked, {"y": np.array([np.nan])}, {})


def test_metadata_of_a_type_without_a_name(tmp_path: Path) -> None:
    manifest = small_package(tmp_path / "package", "null").manifest
    odd = json.loads(json.dumps(model_metadata(manifest, "m", "1")))
    assert odd["inputs"][0]["shape"] == [-1, 4]
    from dataclasses import replace

    from partwise.ir import DType

    wrong = replace(manifest, inputs=(replace(manifest.inputs[0], dtype=DType.FLOAT8_E5M2),))
    with pytest.raises(InputError, match="no name for"):
        model_metadata(wrong, "m", "1")
