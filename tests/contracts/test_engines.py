"""What every engine keeps, whichever it is: the contract of `runtime.engines.engine`.

Each case is a tiny graph that every format can express; `segments` writes it for the engine under test. An engine
whose library is not installed is skipped by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import ml_dtypes
import msgspec
import numpy as np
import pytest

from partwise.digest import canonical_json
from partwise.errors import EngineError, EngineMissingError, InputError, MissingExtraError, PartwiseError
from partwise.ir import DType, Format, Graph, Node, Output, Ref, Symbol, TensorSpec, Weight, graph_to_data
from partwise.packaging import Segment
from partwise.runtime.engines import ENGINES, Engine, EngineSettings, make_engine
from partwise.runtime.engines.spec import parse_engine

WEIGHT = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """y = relu(x @ w), with a size that the caller chooses, in one element type."""

    dtype: str = "float32"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(getattr(ml_dtypes, self.dtype, self.dtype))

    @property
    def weight(self) -> np.ndarray:
        return WEIGHT.astype(self.numpy)

    def inputs(self, rows: int = 3) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(rows).standard_normal((rows, 4)).astype(self.numpy)}

    def expected(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.maximum(inputs["x"].astype(np.float64) @ self.weight.astype(np.float64), 0)


def torch_segment(case: Case) -> Segment:
    kind = DType(case.dtype)
    shapes = {"x": ("rows", 4), "w": (4, 4), "product": ("rows", 4), "y": ("rows", 4)}
    graph = Graph(
        format=Format.TORCH,
        name="case",
        settings=(),
        symbols=(Symbol(name="rows", hint=3, input="x", dim=0),),
        inputs=("x",),
        weights=(Weight(tensor="w", key="w", trainable=True),),
        outputs=(Output(name="y", tensor="y"),),
        tensors=tuple(TensorSpec(name=name, dtype=kind, shape=shape) for name, shape in shapes.items()),
        nodes=(
            Node(op="aten.mm.default", args=(Ref("x"), Ref("w")), outputs=("product",)),
            Node(op="aten.relu.default", args=(Ref("product"),), outputs=("y",)),
        ),
    )
    return Segment(
        name="case",
        format=Format.TORCH,
        graph=canonical_json(graph_to_data(graph)),
        weights={"w": case.weight},
        ir=graph,
    )


def onnx_segment(case: Case) -> Segment:
    onnx = pytest.importorskip("onnx")
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    helper, kind = onnx.helper, onnx.TensorProto.DataType.Value(names.get(case.dtype, case.dtype.upper()))
    value = helper.make_tensor_value_info
    weight = helper.make_tensor("w", kind, [4, 4], case.weight.tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Relu", ["product"], ["y"])],
        "case",
        [value("x", kind, ["rows", 4])],
        [value("y", kind, ["rows", 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Segment(name="case", format=Format.ONNX, graph=model.SerializeToString(), weights={})


SEGMENTS: dict[str, Callable[[Case], Segment]] = {
    "torch": torch_segment,
    "compile": torch_segment,
    "null": torch_segment,
    "onnxruntime": onnx_segment,
    "openvino": onnx_segment,
}
DEVICES = ["torch:cuda", "torch:xpu", "compile:cuda", "onnxruntime:cuda", "onnxruntime:openvino",
           "openvino:GPU", "openvino:NPU"]  # fmt: skip
FAKES = ["fake:torch+speed=0.5+latency=0.001", "fake:null+bandwidth=1GB"]


def slow_where_compiled(name: str) -> object:
    """torch.compile takes a second or two a case, and half a minute for the first on a machine."""
    return pytest.param(name, marks=pytest.mark.slow) if name == "compile" else name


@pytest.fixture(params=[*map(slow_where_compiled, ENGINES), *DEVICES, *FAKES])
def name(request: pytest.FixtureRequest) -> str:
    """Each engine whose library is here, on each device that is."""
    try:
        make_engine(request.param, 1)
    except (MissingExtraError, ModuleNotFoundError):
        pytest.skip(f"{request.param} is not installed")
    except EngineMissingError as error:
        pytest.skip(f"no such device here: {error}")
    return request.param


def written(name: str, case: Case) -> Segment:
    """The case in the format of an engine."""
    return SEGMENTS[parse_engine(name).name](case)


def computes(name: str) -> bool:
    return parse_engine(name).name != "null"


@pytest.fixture
def engine(name: str) -> Engine:
    return make_engine(name, 1)


def test_every_engine_has_segments_here() -> None:
    assert SEGMENTS.keys() == ENGINES.keys()


def test_settings_say_how_it_computes(name: str) -> None:
    settings, spec = make_engine(name, 2).settings, parse_engine(name)
    assert (settings.engine, settings.threads) == (spec.name, 2)
    stated = {field.name for field in fields(EngineSettings)} - {"experts", "exact", "fake"}
    assert all(getattr(settings, field) for field in stated)
    assert (settings.exact is None) == (not computes(name))
    assert (settings.fake is None) == (spec.fake is None)
    assert type(settings.version) is str
    assert msgspec.convert(msgspec.to_builtins(settings), EngineSettings) == settings


def test_it_computes(name: str, engine: Engine) -> None:
    case = Case()
    inputs = case.inputs()
    outputs = engine.load(written(name, case)).run(inputs, {"rows": 3})
    assert list(outputs) == ["y"]
    assert (outputs["y"].dtype, outputs["y"].shape) == (np.float32, (3, 4))
    if computes(name):
        np.testing.assert_allclose(outputs["y"], case.expected(inputs), rtol=1e-5, atol=1e-6)


def test_repeats_and_reloads_are_exact(name: str, engine: Engine) -> None:
    segment, inputs = written(name, Case()), Case().inputs(64)
    loaded = engine.load(segment)
    first = loaded.run(inputs, {"rows": 64})["y"].tobytes()
    assert loaded.run(inputs, {"rows": 64})["y"].tobytes() == first
    assert make_engine(name, 1).load(segment).run(inputs, {"rows": 64})["y"].tobytes() == first


def test_inputs_are_left_as_they_were(name: str, engine: Engine) -> None:
    inputs = Case().inputs()
    before = inputs["x"].copy()
    inputs["x"].setflags(write=False)
    engine.load(written(name, Case())).run(inputs, {"rows": 3})
    assert inputs["x"].tobytes() == before.tobytes()


def test_an_answer_outlives_the_next(name: str, engine: Engine) -> None:
    loaded = engine.load(written(name, Case()))
    first = loaded.run(Case().inputs(3), {"rows": 3})["y"]
    kept = first.copy()
    for rows in (3, 5, 3):
        loaded.run({"x": np.full((rows, 4), 9, np.float32)}, {"rows": rows})
    assert first.tobytes() == kept.tobytes()


@pytest.mark.parametrize("rows", [1, 2, 5, 33])
def test_sizes_are_the_callers(name: str, engine: Engine, rows: int) -> None:
    outputs = engine.load(written(name, Case())).run(Case().inputs(rows), {"rows": rows})
    assert outputs["y"].shape == (rows, 4)


LAYOUTS = {
    "transposed": lambda a: np.asfortranarray(a),
    "gaps": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "off the line": lambda a: _off_the_line(a),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_read_right(name: str, engine: Engine, layout: str) -> None:
    inputs = Case().inputs(16)
    loaded = engine.load(written(name, Case()))
    laid = {"x": LAYOUTS[layout](inputs["x"])}
    assert np.array_equal(laid["x"], inputs["x"])
    found = loaded.run(laid, {"rows": 16})["y"]
    np.testing.assert_allclose(found, loaded.run(inputs, {"rows": 16})["y"], rtol=1e-6, atol=1e-6)


def test_the_address_of_an_input_does_not_matter(name: str, engine: Engine) -> None:
    inputs = Case().inputs(67)
    loaded = engine.load(written(name, Case()))
    off = loaded.run({"x": _off_the_line(inputs["x"])}, {"rows": 67})["y"]
    assert off.tobytes() == loaded.run(inputs, {"rows": 67})["y"].tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_types(name: str, engine: Engine, dtype: str) -> None:
    case = Case(dtype)
    inputs = case.inputs()
    try:
        loaded = engine.load(written(name, case))
    except PartwiseError as error:  # an engine may lack a kernel for a type, and says so
        assert "implement" in str(error), error  # noqa: PT017
        return
    found = loaded.run(inputs, {"rows": 3})["y"]
    assert found.dtype == case.numpy
    if computes(name):
        np.testing.assert_allclose(found.astype(np.float64), case.expected(inputs), rtol=0.02, atol=0.05)


def test_nan_and_infinity_pass(name: str, engine: Engine) -> None:
    if not computes(name):  # which computes nothing
        return
    inputs = Case().inputs()
    inputs["x"][0], inputs["x"][1] = np.nan, np.inf
    found = engine.load(written(name, Case())).run(inputs, {"rows": 3})["y"]
    if "openvino" in name:  # its Relu is a maximum with 0, which takes 0 from a NaN (docs/engines.md)
        assert (found[0] == 0).all()
        return
    assert np.isnan(found[0]).all()
    assert not np.isfinite(found[1]).all()


def test_a_segment_that_cannot_be_computed_is_an_error_of_ours(name: str, engine: Engine) -> None:
    if not computes(name):  # which computes nothing
        return
    loaded = engine.load(written(name, Case()))
    with pytest.raises(PartwiseError):
        loaded.run({"x": np.zeros((3, 5), np.float32)}, {"rows": 3})


@pytest.mark.parametrize("graph", [b"", b"{}", b"nonsense"])
def test_a_file_that_is_no_segment_is_an_error_of_ours(name: str, engine: Engine, graph: bytes) -> None:
    segment = written(name, Case())
    with pytest.raises(PartwiseError):
        engine.load(Segment(name="case", format=segment.format, graph=graph, weights=segment.weights))


def test_a_segment_of_another_format_is_refused_by_name(name: str, engine: Engine) -> None:
    own = written(name, Case())
    other = Segment(
        name="case", format=Format.ONNX if own.format is Format.TORCH else Format.TORCH, graph=b"", weights={}
    )
    with pytest.raises(EngineError, match=r"is no|reads the IR"):
        engine.load(other)


def test_nodes_are_observed_in_order(name: str, engine: Engine) -> None:
    seen = list[tuple[str, float, float]]()
    loaded = engine.load(written(name, Case()))
    outputs = loaded.run(Case().inputs(), {"rows": 3}, lambda *what: seen.append(what))
    assert outputs["y"].tobytes() == loaded.run(Case().inputs(), {"rows": 3})["y"].tobytes()
    assert all(start <= end for _, start, end in seen)
    assert [start for _, start, _ in seen] == sorted(start for _, start, _ in seen)


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread(name: str, threads: int) -> None:
    with pytest.raises(InputError):
        make_engine(name, threads)


def test_an_unknown_engine() -> None:
    with pytest.raises(InputError, match="torch"):
        make_engine("abacus", 1)


def _off_the_line(array: np.ndarray) -> np.ndarray:
    """The same array four bytes past a 64-byte boundary."""
    raw = np.empty(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + 4
    moved = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved
