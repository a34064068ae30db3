"""ONNX files with an oddity each, all the way: captured, cut, run, exactly what onnxruntime says of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_models
import partwise
from partwise.errors import ModelError, RunError, UnsupportedOpError
from partwise.extras import require

onnx, onnxruntime = require("onnx"), require("onnxruntime")
_HEAD = '<ir_version: 10, opset_import: ["": 21, "own": 1]> '
_X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def _text(body: str, **weights: np.ndarray) -> Any:
    model = onnx.parser.parse_model(_HEAD + body)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def _open_size() -> Any:
    """-1, as some exporters write a size that callers choose."""
    weight = _X[:1].T @ _X[:1]
    model = _text("g (float[n,4] x) => (float[n,4] y) { a = Relu (x)  b = Tanh (a)  y = MatMul (b, w) }", w=weight)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    return model


def _four_bits() -> Any:
    """A value of 4-bit integers between two nodes."""
    return _text(
        """g (float[n,4] x) => (float[n,4] y) {
            s = Constant <value_float = 0.1> ()  a = Relu (x)
            q = QuantizeLinear <output_dtype = 22> (a, s)  d = DequantizeLinear (q, s)
            b = Tanh (d)  y = Mul (b, a) }"""
    )


def _resized() -> Any:
    """Scales are floats, and yet decide a shape."""
    return _text(
        """g (float[n,4] x) => (float[n,k] y) {
            a = Relu (x)  b = Resize <mode = "linear"> (a, , scales)  y = Tanh (b) }""",
        scales=np.array([1, 1.6], np.float32),
    )


def _no_trips() -> Any:
    """A Loop whose trips are an input: none collect nothing, of no known shape."""
    return _text(
        """g (float[n,4] x, int64 trips) => (float[n,4] y, float[t,n,4] all) {
            go = Constant <value = bool {1}> ()
            y, all = Loop (trips, go, x) <
                body = b (int64 i, bool c, float[n,4] s) => (bool c2, float[n,4] s2, float[n,4] o) {
                c2 = Identity (c)  s2 = Tanh (s)  o = Relu (s2) }> }"""
    )


_CASES: dict[str, tuple[Callable[[], Any], dict[str, np.ndarray]]] = {
    "open size": (_open_size, {}),
    "4 bits": (_four_bits, {}),
    "resized": (_resized, {}),
    "no trips": (_no_trips, {"trips": np.array(0)}),
    "two trips": (_no_trips, {"trips": np.array(2)}),
}


@pytest.mark.parametrize("name", _CASES)
def test_exact(name: str, tmp_path: Path) -> None:
    make, others = _CASES[name]
    path, inputs = onnx_models.save(make(), tmp_path / "m.onnx"), {"x": _X, **others}
    graph = partwise.capture(path)
    stages = 1 if "trips" in name else 2
    package = partwise.cut(path, partwise.plan(graph, stages=stages), tmp_path / "package")
    run = partwise.run(package, inputs)
    assert partwise.verify(run, against=path).outcome == "accepted"
    expected = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    for output, value in zip(run.outputs.values(), expected, strict=True):
        assert np.array_equal(output, value)


def test_images_of_uneven_sides_run_where_the_model_rounds(tmp_path: Path) -> None:
    model = _text(
        """g (float[n,c,h,w] x) => (float[n,c,i,j] y) {
            a = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)
            b = Resize <mode = "nearest"> (a, , scales)  y = Sigmoid (b) }""",
        scales=np.array([1, 1, 2, 2], np.float32),
    )
    path = onnx_models.save(model, tmp_path / "m.onnx")
    plan = partwise.plan(partwise.capture(path, {"x": np.zeros((2, 3, 8, 8), np.float32)}), stages=2)
    package = partwise.cut(path, plan, tmp_path / "package")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 7, 9), (2, 3, 6, 11)):
        x = np.resize(_X, shape)
        output = partwise.run(package, {"x": x}).outputs["y"]
        assert np.array_equal(output, session.run(None, {"x": x})[0])


_TRAINED = "g (float[n,4] x{}) => (float[n,4] y) {{ r = Constant <value_float = 0.5> () {} }} {}"
_YES = "t = Constant <value = bool {1}> ()"
_INSIDE = '<domain: "own", opset_import: ["": 21]> f (x, t, r) => (y) { y = Dropout (x, r, t) }'


@pytest.mark.parametrize(
    ("inputs", "nodes", "function"),
    [
        ("", f"{_YES} y = Dropout (x, r, t)", ""),
        (", bool t", "y = Dropout (x, r, t)", ""),
        ("", f"{_YES} y = own.f (x, t, r)", _INSIDE),
    ],
)
@pytest.mark.parametrize("optimize", ["off", "all"])
def test_dropout_that_drops_is_refused(optimize: str, inputs: str, nodes: str, function: str, tmp_path: Path) -> None:
    path = onnx_models.save(_text(_TRAINED.format(inputs, nodes, function)), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOpError, match=r"onnx\.Dropout.*is random in training mode.*eval mode"):
        partwise.capture(path, optimize=optimize)


@pytest.mark.parametrize("nodes", ["y = Dropout (x, r)", "t = Constant <value = bool {0}> () y = Dropout (x, r, t)"])
@pytest.mark.parametrize("optimize", ["off", "all"])
def test_dropout_that_does_not_drop_is_captured(optimize: str, nodes: str, tmp_path: Path) -> None:
    path = onnx_models.save(_text(_TRAINED.format("", nodes, "")), tmp_path / "m.onnx")
    assert partwise.capture(path, optimize=optimize).nodes


def test_an_input_without_a_shape_takes_that_of_the_example(tmp_path: Path) -> None:
    model = _text("g (float[n,4] x) => (float[n,4] y) { a = Relu (x)  y = Tanh (a) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    path = onnx_models.save(model, tmp_path / "m.onnx")
    graph = partwise.capture(path, {"x": _X})
    package = partwise.cut(path, partwise.plan(graph, stages=2), tmp_path / "package")
    assert partwise.run(package, {"x": _X[:1]}).outputs["y"].shape == (1, 4)


def _twice(field: str) -> Any:
    model = _text("g (float[n,4] x) => (float[n,4] y) { y = Add (x, w) }", w=_X[0])
    getattr(model.graph, field).append(getattr(model.graph, field)[0])
    return model


@pytest.mark.parametrize("field", ["output", "initializer"])
def test_a_name_that_stands_twice_is_refused(field: str, tmp_path: Path) -> None:
    path = onnx_models.save(_twice(field), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=f"{field} `[wy]`: stands in the graph more than once"):
        partwise.capture(path)


def test_rows_that_only_differ_in_a_batch_are_decided_by_the_data(tmp_path: Path) -> None:
    path = onnx_models.save(
        _text("g (float[n,4] x) => (float[k,4] y) { u = Unique <axis = 0> (x)  y = Relu (u) }"), tmp_path / "m.onnx"
    )
    graph = partwise.capture(path, optimize="off")
    package = partwise.cut(path, partwise.plan(graph, stages=2), tmp_path / "package")
    assert graph.notes == ("1 sizes are decided by the data",)
    assert partwise.run(package, {"x": np.concatenate([_X, _X[:1]])}).outputs["y"].shape == (3, 4)


@pytest.mark.parametrize("optimize", ["off", "all"])
def test_the_model_is_asked_at_the_level_of_its_graph(optimize: str, tmp_path: Path) -> None:
    """onnxruntime multiplies blocks of 4-bit weights in another precision than it unpacks them in."""
    model = _text(
        """g (float[n,64] x) => (float[n,64] y) {
            w = DequantizeLinear <axis = 0, block_size = 32> (q, s, z)  a = MatMul (x, w)  y = Relu (a) }""",
        s=np.linspace(0.1, 0.9, 128, dtype=np.float32).reshape(2, 64),
    )
    for name, rows in (("q", 64), ("z", 2)):
        numbers = [place % 16 for place in range(rows * 64)]
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.UINT4, [rows, 64], numbers))
    path = onnx_models.save(model, tmp_path / "m.onnx")
    plan = partwise.plan(partwise.capture(path, optimize=optimize), stages=1)
    package = partwise.cut(path, plan, tmp_path / "package")
    verdict = partwise.verify(package, against=path)
    assert verdict.outcome == "accepted"
    assert verdict.source[0].equal


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        (
            """g (float[n,4] x, int64[1,16] rows) => (float[1,16] y) {
                a = Concat <axis = 1> (x, x, x, x)  b = Gather (a, t)  c = GatherElements (b, rows)  y = Neg (c) }""",
            r"GatherElements.*Hint: made-up inputs may not suit it: cut with --no-check",
        ),
        (
            "g (float[n,4] x) => (float[n,4] y) { a = Concat <axis = 0> (x, x)  y = Relu (a) }",
            r"another shape.*Hint: the model states sizes that it does not give",
        ),
    ],
)
def test_a_check_that_fails_says_what_to_do(model: str, hint: str, tmp_path: Path) -> None:
    path = onnx_models.save(_text(model, t=np.array([0])), tmp_path / "m.onnx")
    plan = partwise.plan(partwise.capture(path, optimize="off"), stages=1)
    with pytest.raises(RunError, match=hint):
        partwise.cut(path, plan, tmp_path / "package")
    assert not (tmp_path / "package").exists()
