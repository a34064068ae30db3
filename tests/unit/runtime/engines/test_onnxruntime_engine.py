"""The onnxruntime engine: what it runs, what it refuses, what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import partwise.ir as ir
from partwise.errors import EngineError, PartwiseError, UnsupportedOpError
from partwise.extras import require
from partwise.packaging import Segment
from partwise.runtime.engines import make_engine

onnx = require("onnx")
_WEIGHT = np.arange(4, dtype=np.float32)


def _model(text: str = "{ y = Add (x, w) }") -> Any:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g (float[n,4] x) => (float[n,4] y) ' + text
    )
    weight = model.graph.initializer.add(name="w", data_type=1, dims=[4], data_location=1)
    weight.external_data.add(key="location", value="partwise-weights")
    return model


def _segment(model: Any, weights: dict[str, np.ndarray] | None = None) -> Segment:
    given = {"w": _WEIGHT} if weights is None else weights
    return Segment(name="segment 0", format=ir.Format.ONNX, graph=model.SerializeToString(), weights=given)


def _load(model: Any, weights: dict[str, np.ndarray] | None = None) -> Any:
    return make_engine("onnxruntime", 1).load(_segment(model, weights))


def test_runs_on_weights_in_memory() -> None:
    loaded = _load(_model())
    given = np.ones((2, 4), np.float32)
    assert np.array_equal(loaded.run({"x": given}, {})["y"], given + _WEIGHT)
    strided = np.ones((4, 2), np.float32).T
    assert np.array_equal(loaded.run({"x": strided}, {})["y"], given + _WEIGHT)


def test_says_what_it_is() -> None:
    settings = make_engine("onnxruntime", 2).settings
    assert (settings.engine, settings.device, settings.threads) == ("onnxruntime", "cpu", 2)
    assert settings.version == require("onnxruntime").__version__


def test_outputs_outlive_the_segment() -> None:
    loaded = _load(_model())
    output = loaded.run({"x": np.ones((2, 4), np.float32)}, {})["y"]
    del loaded
    assert output.sum() == 2 * (4 + _WEIGHT.sum())


def test_tells_of_each_node() -> None:
    seen = list[tuple[str, float, float]]()
    model = _model("{ a = Add (x, w)  y = Relu (a) }")
    for node in model.graph.node:
        node.name = node.output[0]
    _load(model).run({"x": np.ones((2, 4), np.float32)}, {}, lambda *span: seen.append(span))
    assert [name for name, _, _ in seen] == ["a", "y"]
    assert all(start <= end for _, start, end in seen)
    assert seen[0][2] <= seen[1][1] + 1e-3


def _other_machine(model: Any) -> None:
    model.metadata_props.add(key="partwise.machine", value="abacus")


def _no_such_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Exfiltrate"


def _foreign_domain(model: Any) -> None:
    model.graph.node[0].domain = "evil"


def _random(model: Any) -> None:
    model.graph.node[0].op_type = "RandomUniformLike"


def _function(model: Any) -> None:
    model.functions.add(name="f", domain="own")


def _other_file(model: Any) -> None:
    stolen = model.graph.initializer.add(name="stolen", data_type=1, dims=[4], data_location=1)
    stolen.external_data.add(key="location", value="/etc/passwd")


def _file_in_attribute(model: Any) -> None:
    tensor = onnx.TensorProto(data_type=1, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.add(op_type="Constant", output=["c"]).attribute.add(name="value", type=4, t=tensor)


def _other_shape(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 400


def _absurd(model: Any) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1 << 21, 1 << 21, 8]), "s"))
    model.graph.node.add(op_type="ConstantOfShape", input=["s"], output=["huge"])


def _cyclic(model: Any) -> None:
    model.graph.node[0].input[0] = "y"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_other_machine, EngineError, r"abacus.*--optimize extended"),
        (_no_such_operator, UnsupportedOpError, "Exfiltrate"),
        (_foreign_domain, UnsupportedOpError, "evil.Add"),
        (_random, UnsupportedOpError, "RandomUniformLike"),
        (_function, EngineError, "functions"),
        (_other_file, EngineError, "stolen"),
        (_file_in_attribute, EngineError, "reads a file"),
        (_other_shape, EngineError, "another shape"),
        (_absurd, EngineError, "absurd size"),
        (_cyclic, EngineError, "acyclic"),
    ],
)
def test_refuses(change: Callable[[Any], None], error: type[PartwiseError], words: str) -> None:
    model = _model()
    change(model)
    with pytest.raises(error, match=words):
        _load(model)


def test_refuses_what_is_no_onnx_and_weights_that_are_missing() -> None:
    engine = make_engine("onnxruntime", 1)
    with pytest.raises(EngineError, match="no ONNX file"):
        engine.load(Segment(name="s", format=ir.Format.ONNX, graph=b"\x12\x34garbage", weights={}))
    with pytest.raises(EngineError, match="no ONNX segment"):
        engine.load(Segment(name="s", format=ir.Format.TORCH, graph=b"{}", weights={}))
    with pytest.raises(EngineError, match="not those of its package"):
        _load(_model(), weights={})


def test_a_failing_run_is_an_error_of_ours() -> None:
    with pytest.raises(EngineError, match="segment 0: onnxruntime failed"):
        _load(_model()).run({"x": np.ones((2, 5), np.float32)}, {})
