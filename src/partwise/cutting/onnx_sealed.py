"""A segment as an ONNX file that holds its own weights: what a prover, or any other tool, reads alone."""

from __future__ import annotations

import numpy as np

from partwise.extras import require
from partwise.packaging import Segment

__all__ = ["sealed_onnx"]


def sealed_onnx(segment: Segment) -> bytes:
    """The bytes of the file: equal segments, equal bytes.

    Args:
        segment: of format ONNX, with its weights.
    """
    onnx = require("onnx")
    model = onnx.ModelProto.FromString(segment.graph)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.raw_data = np.ascontiguousarray(segment.weights[tensor.name]).tobytes()
    return model.SerializeToString(deterministic=True)
