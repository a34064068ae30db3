"""An ONNX segment whose large weights are inputs: for engines that take constants after the graph is read.

A protobuf holds 2 GB at most, and putting weights into it copies them. Small ones are put in, because axes, shapes
and the like must be known while the graph is read.
"""

from __future__ import annotations

import numpy as np

from partwise.extras import require
from partwise.packaging import Segment

__all__ = ["with_weights_as_inputs"]

_EXTERNAL, _DEFAULT = 1, 0  # TensorProto.EXTERNAL, TensorProto.DEFAULT
_SMALL_BYTES = 4096
"""More than any shape or list of axes takes, and little to copy. Assumed."""


def with_weights_as_inputs(segment: Segment) -> tuple[bytes, dict[str, np.ndarray]]:
    """The graph's bytes, and the weights that became its inputs, in C order.

    Args:
        segment: whose file was checked: its external weights are those of its package.
    """
    onnx = require("onnx")
    model = onnx.ModelProto.FromString(segment.graph)
    kept, moved = list[object](), dict[str, np.ndarray]()
    for tensor in model.graph.initializer:
        if tensor.data_location != _EXTERNAL:
            kept.append(tensor)
            continue
        value = np.asarray(segment.weights[tensor.name], order="C")
        if value.nbytes <= _SMALL_BYTES:
            kept.append(_filled(tensor, value))
        else:
            moved[tensor.name] = value
            model.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString(), moved


def _filled(tensor: object, value: np.ndarray) -> object:
    copy = require("onnx").TensorProto()
    copy.CopyFrom(tensor)
    del copy.external_data[:]
    copy.data_location, copy.raw_data = _DEFAULT, value.tobytes()
    return copy
