"""Bodies: what they capture, and their weights outside."""

from __future__ import annotations

import onnx_models
from partwise.frontends.onnx.bodies import body_attributes, captures, lift_weights, subgraphs


def test_captures_reach_through_bodies_in_bodies() -> None:
    graph = onnx_models.nested().graph
    loop = next(node for node in graph.node if node.op_type == "Loop")
    assert captures(loop.attribute[0].g) == ("only_inside", "a")
    assert len(list(subgraphs(graph))) == 4


def test_weights_of_both_branches_get_names_of_their_own_outside() -> None:
    graph = onnx_models.branches().graph
    lift_weights(graph)
    assert [tensor.name for tensor in graph.initializer] == ["shared", "inner", "inner.1"]
    branch = next(node for node in graph.node if node.op_type == "If")
    read = {name: captures(body) for name, body in body_attributes(branch)}
    assert read == {"then_branch": ("a", "inner", "shared"), "else_branch": ("b", "inner.1")}
    assert not any(body.initializer for _, body in body_attributes(branch))
