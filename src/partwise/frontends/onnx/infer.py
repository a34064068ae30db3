"""Types and shapes of every value: what the engine's and ONNX's inference say, and what one run shows for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import partwise.ir as ir
from partwise.extras import require
from partwise.frontends.onnx.optimize import Optimized, open_session, writing
from partwise.frontends.onnx.probe import probe
from partwise.frontends.onnx.symbols import Sizes
from partwise.onnx_values import dtype_of, session_dtype

__all__ = ["Inferred", "infer", "inferred_model"]

_EVERYTHING = "everything.onnx"


@dataclass(slots=True)
class Inferred:
    """What is known of the values."""

    specs: dict[str, ir.TensorSpec]
    symbols: tuple[ir.Symbol, ...]
    """Those of the inputs, then those that only the data decide."""
    notes: tuple[str, ...]


def infer(optimized: Optimized, sizes: Sizes) -> Inferred:
    """The specification of each value that a node of the main graph makes, and of each input.

    Args:
        optimized: the model; a copy with all values as outputs is written beside it.
        sizes: the symbols of its inputs.
    """
    session = _session_of_everything(optimized)
    onnx_shapes = _onnx_shapes(optimized.model)
    dtypes, shapes = dict[str, ir.DType](), dict[str, list[ir.Dim | None] | None]()
    for value in session.get_outputs():
        dtypes[value.name] = session_dtype(value.type, f"value `{value.name}`")
        shapes[value.name] = _merged(sizes, value.shape, onnx_shapes.get(value.name))
    tensors = {name: shape for name, shape in shapes.items() if dtypes[name] not in (ir.DType.OPAQUE, ir.DType.STRING)}
    seen = probe(session, tensors, sizes)
    specs = {
        name: ir.TensorSpec(name=name, dtype=dtype, shape=seen.shapes.get(name, _whole(shapes[name])))
        for name, dtype in dtypes.items()
    }
    return Inferred(specs | sizes.specs, (*sizes.symbols.values(), *seen.symbols), seen.notes)


def inferred_model(model: Any) -> Any:
    """The model with what ONNX's own inference knows, bodies included; the model itself where it fails."""
    onnx = require("onnx")
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError):
        return model  # the engine judges it


def value_dims(value: Any) -> list[int | str | None] | None:
    """Dims of a `ValueInfoProto`: sizes, names, None for neither; None for an unknown rank."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [_size(dim) if dim.HasField("dim_value") else dim.dim_param or None for dim in kind.shape.dim]


def _size(dim: Any) -> int | None:
    """A fixed size; exporters write -1 for an open one."""
    return int(dim.dim_value) if dim.dim_value >= 0 else None


def body_specs(graph: Any, sizes: Sizes) -> dict[str, ir.TensorSpec]:
    """What inference knows of a body's values; those with an unknown size are absent."""
    found = dict[str, ir.TensorSpec]()
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value_dims(value)
        shape = _whole([sizes.translate(dim) for dim in dims]) if dims is not None else None
        if shape is not None and value.type.tensor_type.elem_type:
            dtype = dtype_of(value.type.tensor_type.elem_type, f"value `{value.name}`")
            found[value.name] = ir.TensorSpec(name=value.name, dtype=dtype, shape=shape)
    for tensor in graph.initializer:
        dtype = dtype_of(tensor.data_type, f"tensor `{tensor.name}`")
        found[tensor.name] = ir.TensorSpec(name=tensor.name, dtype=dtype, shape=tuple(tensor.dims))
    return found


def _session_of_everything(optimized: Optimized) -> Any:
    onnx = require("onnx")
    model = deepcopy(optimized.model)
    known = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                known.add(name)
    path = optimized.folder / _EVERYTHING
    with writing(optimized.folder):
        onnx.save(model, path)
    return open_session(str(path), "the optimized model")


def _onnx_shapes(model: Any) -> Mapping[str, list[int | str | None] | None]:
    return {value.name: value_dims(value) for value in inferred_model(model).graph.value_info}


def _merged(
    sizes: Sizes, engine: list[int | str | None], standard: list[int | str | None] | None
) -> list[ir.Dim | None] | None:
    """The better known of two opinions about each dim.

    onnxruntime writes a scalar and an unknown rank alike, as no dims at all: there only ONNX's opinion counts.
    """
    if not engine or standard is None or len(engine) != len(standard):
        known = engine or standard
        return None if known is None else [sizes.translate(dim) for dim in known]
    pairs = zip(map(sizes.translate, standard), map(sizes.translate, engine), strict=True)
    return [ours if theirs is None else theirs for theirs, ours in pairs]


def _whole(shape: list[ir.Dim | None] | None) -> tuple[ir.Dim, ...] | None:
    if shape is None or None in shape:
        return None
    return tuple(dim for dim in shape if dim is not None)
