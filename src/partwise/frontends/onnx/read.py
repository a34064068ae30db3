"""Read an ONNX file, and refuse what could not be captured, before any engine sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import partwise.ir as ir
from partwise.errors import ModelError, UnsafeFileError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.onnx.infer import inferred_model
from partwise.ir.operators import ONNX_RANDOM
from partwise.onnx_values import held_tensors, op_name

__all__ = ["ABSURD_BYTES", "check_sizes", "read_model"]

ABSURD_BYTES = 1 << 40
"""No tensor of a model is larger than 1 TiB; a file that asks for one is broken or hostile. Assumed."""
_PAYLOAD_BYTES = 1024
"""Tensors above this size are held without their data: the graph alone is read here."""
_EXTERNAL = 1  # TensorProto.EXTERNAL
_NO_ARRAYS = {8: "strings", 21: "4-bit integers", 22: "4-bit integers"}
"""Element types that onnxruntime neither takes from numpy nor gives it, by ONNX's number."""


def read_model(path: Path) -> Any:
    """The `ModelProto` of a file without the data of its large tensors, checked.

    Raises:
        ModelError: no such file, no ONNX, sizes that cannot be, inputs that are no tensors.
        UnsafeFileError: external data outside the model's folder.
        UnsupportedOpError: an operator without a row in the table, or a random one.
    """
    model = _parse(path)
    if not model.graph.output:
        raise ModelError(str(path), "holds no graph: no outputs are defined")
    for tensor in held_tensors(model):
        _check_external(path, tensor)
    _check_operators(model)
    _check_ends(path, model.graph)
    for tensor in [*held_tensors(model)]:
        _check_tensor(path, tensor)
        _drop_payload(tensor)
    check_sizes(model, str(path))
    return model


def check_sizes(model: Any, subject: str) -> None:
    """Raise if shape inference finds a value of absurd size.

    Raises:
        ModelError: a tensor above `ABSURD_BYTES`.
    """
    inferred = inferred_model(model)
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if prod(size for size in dims if size > 0) > ABSURD_BYTES:
            raise ModelError(f"{subject}, `{value.name}`", "has an absurd size", got=dims)


def _parse(path: Path) -> Any:
    onnx, message = require("onnx"), require("google.protobuf.message")
    try:
        if path.stat().st_size == 0:
            raise ModelError(str(path), "is empty (0 bytes)")
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(str(path), f"cannot be read ({error.strerror})") from None
    except message.DecodeError:
        raise ModelError(
            str(path), "is no ONNX file, or a truncated one", hint="export or download it again."
        ) from None


def _check_external(path: Path, tensor: Any) -> None:
    if tensor.data_location != _EXTERNAL:
        return
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    subject = f"{path}, tensor `{tensor.name}`"
    parts = PurePosixPath(location.replace("\\", "/"))
    if not location or parts.is_absolute() or ".." in parts.parts:
        raise UnsafeFileError(subject, "its data lies outside the model's folder", got=repr(location)[:80])
    if not _is_file(path.parent / location):
        raise ModelError(subject, "its external data is missing", expected=str(path.parent / location)[:200])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the system allows
        return False


def _check_tensor(path: Path, tensor: Any) -> None:
    if min(tensor.dims, default=0) < 0 or prod(tensor.dims) > ABSURD_BYTES:
        raise ModelError(f"{path}, tensor `{tensor.name}`", "has an absurd size", got=list(tensor.dims))


def _drop_payload(tensor: Any) -> None:
    if tensor.data_location != _EXTERNAL and tensor.ByteSize() > _PAYLOAD_BYTES:
        for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
            tensor.ClearField(field)
        tensor.data_location = _EXTERNAL


def _check_operators(model: Any) -> None:
    functions = {(f.domain, f.name) for f in model.functions}
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    for nodes in bodies:
        for node in _all_nodes(nodes):
            if (node.domain, node.op_type) not in functions:
                _check_operator(node)


def _all_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _all_nodes(graph.node)


def _check_operator(node: Any) -> None:
    name, where = op_name(node.domain, node.op_type), f"node `{node.name or next(iter(node.output), '?')}`"
    if name in ONNX_RANDOM:
        raise UnsupportedOpError(
            f"operator `{name}` at {where}", "is random: two runs would differ", hint="make it an input of the model."
        )
    ir.operator(name, where)


def _check_ends(path: Path, graph: Any) -> None:
    for value in (*graph.input, *graph.output):
        kind = value.type.WhichOneof("value")
        elements = value.type.tensor_type.elem_type if kind == "tensor_type" else 0
        if kind not in (None, "tensor_type") or elements in _NO_ARRAYS:
            what, got = "is no tensor of numbers; a run passes arrays", _NO_ARRAYS.get(elements, kind)
            raise ModelError(f"{path}, `{value.name}`", what, got=got)
    for kind, values in (("output", graph.output), ("initializer", graph.initializer)):
        name, times = next(iter(Counter(value.name for value in values).most_common(1)), ("", 0))
        if times > 1:
            raise ModelError(f"{path}, {kind} `{name}`", "stands in the graph more than once")
