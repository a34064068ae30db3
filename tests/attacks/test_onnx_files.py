"""ONNX files that are broken or hostile: each one clear error of ours, never a traceback, never a file read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_models
from partwise.errors import EngineError, InputError, ModelError, UnsafeFileError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.onnx.model import OnnxModel
from partwise.frontends.source import CaptureOptions
from partwise.ir import Format
from partwise.packaging import Segment
from partwise.runtime.engines import make_engine

onnx = require("onnx")


def _text(body: str, opset: int = 17) -> Any:
    head = f'<ir_version: 8, opset_import: ["": {opset}, "evil": 1]> '
    return onnx.parser.parse_model(head + "g (float[n,4] x) => (float[n,4] y) " + body)


def _external(location: str) -> Any:
    model = _text("{ y = Add (x, w) }")
    weight = model.graph.initializer.add(name="w", data_type=1, dims=[4], data_location=1)
    weight.external_data.add(key="location", value=location)
    return model


def _sparse(location: str) -> Any:
    """A constant whose values, stored sparsely, lie in a file."""
    model = _text("{ w = Constant <value_float = 1.0> ()  y = Add (x, w) }")
    value = model.graph.node[0].attribute[0]
    value.Clear()
    value.name, value.type = "sparse_value", onnx.AttributeProto.SPARSE_TENSOR
    value.sparse_tensor.CopyFrom(onnx.SparseTensorProto(dims=[4], values=_external(location).graph.initializer[0]))
    value.sparse_tensor.indices.CopyFrom(onnx.numpy_helper.from_array(np.arange(4)))
    return model


def _sized(*dims: int) -> Any:
    model = _text("{ y = Add (x, w) }")
    model.graph.initializer.add(name="w", data_type=1, dims=dims)
    return model


def _expanded(*shape: int) -> Any:
    model = _text("{ c = ConstantOfShape (s)  r = ReduceSum <keepdims = 0> (c)  y = Add (x, r) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape), "s"))
    return model


def _in_a_branch() -> Any:
    return _text(
        """{ t = Constant <value = bool {1}> ()
             y = If (t) <then_branch = a () => (float[n,4] p) { p = evil.Run (x) },
                         else_branch = b () => (float[n,4] q) { q = Relu (x) }> }"""
    )


def _in_a_function() -> Any:
    return onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "own": 1]> g (float[n,4] x) => (float[n,4] y) { y = own.f (x) }
           <domain: "own", opset_import: ["": 17, "evil": 1]> f (x) => (y) { y = evil.Run (x) }"""
    )


def _recursive() -> Any:
    return onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "own": 1]> g (float[n,4] x) => (float[n,4] y) { y = own.f (x) }
           <domain: "own", opset_import: ["": 17, "own": 1]> f (x) => (y) { y = own.f (x) }"""
    )


def _without_outputs() -> Any:
    model = _text("{ y = Relu (x) }")
    del model.graph.output[:]
    return model


def _typed(dtype: int) -> Any:
    model = _text("{ y = Identity (x) }")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = dtype
    return model


_FILES: dict[str, tuple[Callable[[], Any], type[InputError], str]] = {
    "cyclic": (lambda: _text("{ a = Add (x, y)  y = Relu (a) }"), ModelError, "not acyclic"),
    "unknown operator": (lambda: _text("{ y = Frobnicate (x) }"), UnsupportedOpError, r"onnx\.Frobnicate.*node `y`"),
    "foreign domain": (lambda: _text("{ y = evil.Run (x) }"), UnsupportedOpError, r"evil\.Run"),
    "operator in a branch": (_in_a_branch, UnsupportedOpError, r"evil\.Run"),
    "operator in a function": (_in_a_function, UnsupportedOpError, r"evil\.Run"),
    "random": (lambda: _text("{ y = RandomNormalLike (x) }"), UnsupportedOpError, "is random"),
    "file above": (lambda: _external("../../secret"), UnsafeFileError, "outside the model's folder"),
    "absolute file": (lambda: _external("/etc/passwd"), UnsafeFileError, "outside the model's folder"),
    "file above, in disguise": (lambda: _external("sub/../../secret"), UnsafeFileError, "outside the model's folder"),
    "file above, for Windows": (lambda: _external("..\\secret"), UnsafeFileError, "outside the model's folder"),
    "file above, of a sparse constant": (
        lambda: _sparse("../../secret"),
        UnsafeFileError,
        "outside the model's folder",
    ),
    "link to a file": (lambda: _external("link"), UnsafeFileError, "external data"),
    "function that calls itself": (_recursive, ModelError, "recursive"),
    "endless name": (lambda: _external("w" * 5000), ModelError, "missing"),
    "4-bit results": (lambda: _typed(22), ModelError, "no tensor of numbers"),
    "missing file": (lambda: _external("missing.bin"), ModelError, "missing"),
    "short file": (lambda: _external("short"), ModelError, "onnxruntime cannot load it"),
    "absurd weight": (lambda: _sized(1 << 40, 4), ModelError, "absurd size"),
    "negative weight": (lambda: _sized(-4), ModelError, "absurd size"),
    "weight without data": (lambda: _sized(4), ModelError, "onnxruntime cannot load it"),
    "absurd value": (lambda: _expanded(1 << 22, 1 << 22), ModelError, "absurd size"),
    "wrong dtype": (lambda: _text("{ i = Cast <to = 7> (x)  y = Add (x, i) }"), ModelError, "Type"),
    "value from nowhere": (lambda: _text("{ y = Relu (nothing) }"), ModelError, "nothing"),
    "value made twice": (lambda: _text("{ y = Relu (x)  y = Tanh (x) }"), ModelError, "Duplicate"),
    "no outputs": (_without_outputs, ModelError, "no graph"),
    "strings": (lambda: _typed(8), ModelError, "no tensor of numbers"),
    "unknown type": (lambda: _typed(23), UnsupportedOpError, "element type"),
    "opset of the future": (lambda: _text("{ y = Relu (x) }", opset=99), ModelError, "opset"),
}


@pytest.mark.parametrize("name", _FILES)
def test_refused(name: str, tmp_path: Path) -> None:
    make, error, words = _FILES[name]
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "deep" / "model"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(b"123")
    path = onnx_models.save(make(), folder / "m.onnx")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=words) as caught:
        OnnxModel(path, CaptureOptions()).capture()
    assert len(str(caught.value)) < 700
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"no model at all", "no ONNX file"),
        (None, "No such file"),
        ("half", "truncated"),
        ("most", "truncated"),
    ],
)
def test_no_model(data: bytes | str | None, words: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "m.onnx", onnx_models.conv_net().SerializeToString()
    if isinstance(data, str):
        data = whole[: len(whole) // 2] if data == "half" else whole[:-7]
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ModelError, match=words):
        OnnxModel(path, CaptureOptions()).capture()


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Is a directory"):
        OnnxModel(tmp_path, CaptureOptions()).capture()


def _segment(model: Any, weights: dict[str, np.ndarray]) -> Segment:
    return Segment(name="segment 0", format=Format.ONNX, graph=model.SerializeToString(), weights=weights)


def _twice() -> Any:
    """A weight of the package, and another of its name that lies in a file."""
    model = _external("secret")
    model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
    return model


def _sparse_weight() -> Any:
    model = _text("{ y = Add (x, w) }")
    sparse = onnx.SparseTensorProto(dims=[4], values=_external("secret").graph.initializer[0])
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.arange(4)))
    model.graph.sparse_initializer.append(sparse)
    return model


@pytest.mark.parametrize(
    ("make", "weights"),
    [(lambda: _sparse("secret"), ()), (_sparse_weight, ()), (_twice, ("w",)), (lambda: _external("secret"), ())],
)
def test_a_segment_reads_no_file_of_its_readers(
    make: Callable[[], Any], weights: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the folder that `partwise run` happens to be called in gets into a result."""
    (tmp_path / "secret").write_bytes(np.full(4, 7, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    given = {name: np.zeros(4, np.float32) for name in weights}
    with pytest.raises(EngineError, match=r"reads a file|not those of its package"):
        make_engine("onnxruntime", 1).load(_segment(make(), given))
