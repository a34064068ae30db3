"""An optimized ONNX model as a `Graph`."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.frontends.onnx.attributes import attribute_argument, tensor_argument, tensor_data
from partwise.frontends.onnx.bodies import body_attributes, captures, subgraphs
from partwise.frontends.onnx.channels import name_channels
from partwise.frontends.onnx.control import body_argument, trips
from partwise.frontends.onnx.infer import Inferred, inferred_model
from partwise.frontends.onnx.optimize import Optimized
from partwise.frontends.onnx.symbols import Sizes
from partwise.frontends.onnx.training import refuse_training
from partwise.onnx_values import dtype_of, op_name

__all__ = ["convert"]

_LITERAL_BYTES = 1024
"""Shapes, axes and indices up to this size, and single numbers, are part of the graph, not weights."""
_PACKED = (ir.DType.INT4, ir.DType.UINT4)
"""Types that no array of numpy packs two a byte: their tensors stay in the graph."""
_QUANTIZED = (ir.DType.INT8, ir.DType.UINT8)
_RESIZING = ("Resize", "Upsample")


@dataclass(slots=True)
class _Building:
    optimized: Optimized
    sizes: Sizes
    specs: dict[str, ir.TensorSpec]
    weights: list[ir.Weight] = field(default_factory=list)
    constants: list[ir.Constant] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The file's name of each node, by its first output."""
    literals: dict[str, Any] = field(default_factory=dict)
    """Small initializers by name."""


def convert(
    optimized: Optimized, inferred: Inferred, sizes: Sizes, channels: Mapping[str, int], settings: Mapping[str, Any]
) -> ir.Graph:
    """The graph of an optimized model.

    Args:
        optimized: the model.
        inferred: specifications of its values.
        sizes: the symbols of its inputs.
        channels: of the values of the model before optimization.
        settings: how it was captured.

    Raises:
        UnsupportedOpError: an operator without a row, an attribute or element type without a word.
    """
    graph = optimized.model.graph
    building = _Building(optimized, sizes, dict(inferred.specs))
    if graph.sparse_initializer:
        raise UnsupportedOpError("sparse initializers", "are not supported", hint="store these weights densely.")
    refuse_training(graph)
    shaping = _shaping(graph)
    for tensor in graph.initializer:
        _initializer(building, tensor, shaping)
    bodies = {node.output[0]: node for node in inferred_model(optimized.model).graph.node if node.output}
    for node in _ordered(graph):
        _node(building, node, bodies)
    outputs = tuple(_output(building, value.name) for value in graph.output)
    nodes = name_channels(building.nodes, building.names, building.specs, channels)
    return ir.prune(
        ir.Graph(
            format=ir.Format.ONNX,
            name=graph.name or "onnx",
            settings=tuple(sorted({**settings, **_versions(optimized.model, nodes)}.items())),
            symbols=inferred.symbols,
            inputs=tuple(sizes.dtypes),
            weights=tuple(building.weights),
            constants=tuple(building.constants),
            outputs=outputs,
            tensors=tuple(building.specs[name] for name in sorted(building.specs)),
            nodes=tuple(nodes),
            notes=inferred.notes,
        )
    )


def _initializer(building: _Building, tensor: Any, shaping: frozenset[str]) -> None:
    name, subject = tensor.name, f"tensor `{tensor.name}`"
    dtype, shape = dtype_of(tensor.data_type, subject), tuple(int(size) for size in tensor.dims)
    spec = ir.TensorSpec(name=name, dtype=dtype, shape=shape)
    building.specs[name] = spec
    if dtype is ir.DType.STRING:
        value = ("value", tensor_argument(tensor, subject))
        building.nodes.append(ir.Node(op="onnx.Constant", args=(), kwargs=(value,), outputs=(name,)))
    elif _is_literal(spec) or (name in shaping and spec.bytes({}) <= _LITERAL_BYTES):
        data = tensor_data(tensor, str(building.optimized.folder))
        building.constants.append(ir.Constant(tensor=name, data=base64.b64encode(data).decode()))
        building.literals[name] = tensor
    else:
        building.weights.append(ir.Weight(tensor=name, key=name, trainable=_is_parameter(dtype)))


def _shaping(graph: Any) -> frozenset[str]:
    """Values that decide a shape although they are floats: onnxruntime reads them before it has any weight."""
    resizing = (node for inner in subgraphs(graph) for node in inner.node if node.op_type in _RESIZING)
    return frozenset(name for node in resizing for name in node.input[1:])


def _is_literal(spec: ir.TensorSpec) -> bool:
    small = not _is_parameter(spec.dtype) and spec.bytes({}) <= _LITERAL_BYTES
    return spec.dtype in _PACKED or spec.elements({}) <= 1 or small


def _is_parameter(dtype: ir.DType) -> bool:
    return dtype.is_float or dtype in _QUANTIZED


def _ordered(graph: Any) -> Iterator[Any]:
    """The nodes that the outputs need, depth first: an order that the graph alone decides.

    onnxruntime writes nodes that it inserted in an order that differs from one process to the next.
    """
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    done, pending = set[int](), [producer[v.name] for v in reversed(graph.output) if v.name in producer]
    while pending:
        index = pending[-1]
        missing = [i for i in _sources(graph.node[index], producer) if i not in done]
        if missing and index not in done:
            pending += reversed(missing)
            continue
        pending.pop()
        if index not in done:
            done.add(index)
            yield graph.node[index]


def _sources(node: Any, producer: Mapping[str, int]) -> list[int]:
    captured = (name for _, body in body_attributes(node) for name in captures(body))
    return [producer[name] for name in dict.fromkeys((*node.input, *captured)) if name in producer]


def _node(building: _Building, node: Any, inferred: Mapping[str, Any]) -> None:
    given = [(place, name) for place, name in enumerate(node.output) if name]
    if not given:
        return
    op, where = op_name(node.domain, node.op_type), f"node `{node.name or given[0][1]}`"
    ir.operator(op, where)
    kwargs = {a.name: attribute_argument(a, where) for a in node.attribute if not a.HasField("g")}
    typed = inferred.get(node.output[0], node)
    for name, body in body_attributes(node):
        known = next(graph for other, graph in body_attributes(typed) if other == name)
        kwargs[name] = body_argument(body, known, building.specs, building.sizes)
    if (count := trips(node, building.literals, building.specs)) is not None:
        kwargs["@trips"] = count
    if given[-1][0] != len(given) - 1:
        kwargs["@outputs"] = tuple(place for place, _ in given)
    outputs = tuple(name for _, name in given)
    for name in outputs:
        if name not in building.specs:
            raise ModelError(f"value `{name}` of {where}", "has no type that inference could find")
    args = tuple(ir.Ref(name) if name else None for name in node.input)
    building.names[outputs[0]] = node.name
    building.nodes.append(ir.Node(op=op, args=args, kwargs=tuple(sorted(kwargs.items())), outputs=outputs))


def _output(building: _Building, name: str) -> ir.Output:
    """A result; one that no node makes (an input or a weight, returned as it is) passes through a copy."""
    if any(name in node.outputs for node in building.nodes):
        return ir.Output(name=name, tensor=name)
    copy = f"{name}.returned"
    building.specs[copy] = ir.TensorSpec(name=copy, dtype=building.specs[name].dtype, shape=building.specs[name].shape)
    building.nodes.append(ir.Node(op="onnx.Identity", args=(ir.Ref(name),), outputs=(copy,)))
    return ir.Output(name=name, tensor=copy)


def _versions(model: Any, nodes: list[ir.Node]) -> dict[str, int]:
    """What a segment's file must say of the standards it is written in."""
    versions = {entry.domain: int(entry.version) for entry in model.opset_import}
    used = {op_name(domain, "x").rpartition(".")[0]: version for domain, version in versions.items()}
    wanted = {node.op.rpartition(".")[0] for node in nodes} | {"onnx"}
    bodies = any(isinstance(v, tuple) and v[:1] == (("graph",),) for node in nodes for _, v in node.kwargs)
    kept = {f"opset.{domain}": version for domain, version in used.items() if domain in wanted or bodies}
    return {"ir_version": int(model.ir_version), **kept}
