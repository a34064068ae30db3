"""A part of an ONNX graph as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onnx_models
import partwise.ir as ir
from partwise.cutting import encode_whole
from partwise.cutting.onnx import WEIGHTS_LOCATION, encode_onnx
from partwise.extras import require
from partwise.frontends.onnx.model import OnnxModel
from partwise.frontends.source import CaptureOptions

onnx = require("onnx")


def _parts(graph: ir.Graph, cut: int) -> tuple[ir.Part, ...]:
    contraction = ir.contract(graph)
    return ir.divide(contraction, [contraction.placed[:cut], contraction.placed[cut:]])


def _model(data: bytes) -> Any:
    return onnx.load_model_from_string(data)


@pytest.fixture
def nested(tmp_path: Path) -> ir.Graph:
    path = onnx_models.save(onnx_models.nested(), tmp_path / "m.onnx")
    return OnnxModel(path, CaptureOptions(optimize="off")).capture()


def test_interfaces_have_the_graphs_names(nested: ir.Graph) -> None:
    for part in _parts(nested, 1):
        body = _model(encode_onnx(nested, part, "segment_0")).graph
        assert tuple(value.name for value in body.input) == part.inputs
        assert tuple(value.name for value in body.output) == part.outputs
        assert [node.output[0] for node in body.node] == [nested.nodes[index].name for index in part.nodes]


def test_a_weight_used_only_in_a_body_is_there_and_holds_no_bytes(nested: ir.Graph) -> None:
    _, second = _parts(nested, 1)
    body = _model(encode_onnx(nested, second, "segment_1")).graph
    weight = next(tensor for tensor in body.initializer if tensor.name == "only_inside")
    assert (weight.data_location, weight.external_data[0].value) == (1, WEIGHTS_LOCATION)
    assert not weight.raw_data


def test_equal_parts_are_equal_bytes_and_the_whole_is_all_of_them(nested: ir.Graph) -> None:
    part = _parts(nested, 2)[0]
    assert encode_onnx(nested, part, "s") == encode_onnx(nested, part, "s")
    again = ir.graph_from_data(ir.graph_to_data(nested))
    assert encode_onnx(again, part, "s") == encode_onnx(nested, part, "s")
    assert len(_model(encode_whole(nested)).graph.node) == len(nested.nodes)


def test_left_out_inputs_and_outputs_keep_their_places(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.optional(), tmp_path / "m.onnx")
    graph = OnnxModel(path, CaptureOptions()).capture()
    nodes = {node.op_type: node for node in _model(encode_whole(graph)).graph.node}
    assert list(nodes["LSTM"].output) == ["", "hr", "c"]
    assert nodes["LSTM"].input[3:5] == ["", ""]
    assert nodes["Clip"].input[1] == ""


def test_the_layouts_machine_is_in_the_file(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    for level, there in (("all", True), ("extended", False)):
        graph = OnnxModel(path, CaptureOptions(optimize=level)).capture()
        props = {entry.key for entry in _model(encode_whole(graph)).metadata_props}
        assert ("partwise.machine" in props) is there
