"""Models that were exported in training mode: dropout that really drops is random, whatever its seed."""

from __future__ import annotations

from typing import Any

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.frontends.onnx.bodies import subgraphs

__all__ = ["refuse_training"]

_MODE = 2
"""Place of `training_mode` among Dropout's inputs. Source: ONNX's operator specification, Dropout-12."""


def refuse_training(graph: Any) -> None:
    """Raise if some Dropout of a graph, or of a body in it, drops, or may be told to.

    Args:
        graph: `GraphProto`, local functions already inlined.

    Raises:
        UnsupportedOpError: its training mode is no constant `false`.
    """
    graphs = list(subgraphs(graph))
    known = {tensor.name: tensor for inner in graphs for tensor in inner.initializer}
    for inner in graphs:
        known |= {
            n.output[0]: a.t for n in inner.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"
        }
    for node in (node for inner in graphs for node in inner.node):
        mode = node.input[_MODE] if len(node.input) > _MODE else ""
        if node.op_type == "Dropout" and mode and (mode not in known or _is_true(known[mode])):
            subject = f"operator `onnx.Dropout` at node `{node.name or node.output[0]}`"
            hint = "export the model in eval mode: its training_mode is a constant false, or left out."
            raise UnsupportedOpError(subject, "is random in training mode: two runs would differ", hint=hint)


def _is_true(tensor: Any) -> bool:
    return bool(require("onnx").numpy_helper.to_array(tensor).any())
