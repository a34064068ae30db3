"""Screen a torch segment's graph before an engine sees it: a stranger's file is data, and stays data.

Names that come near a program (symbols, keywords) must be names, whatever an engine makes of them, and each constant
of the framework is looked up in a list. Then the graph must be the one that the manifest describes.
"""

from __future__ import annotations

import base64
import binascii

from partwise.errors import ManifestError, UnsafeFileError
from partwise.ir import Argument, Constant, DType, Enum, Format, Graph, Node, Sym, graph_from_data, operator
from partwise.ir.dims import parse
from partwise.ir.operators.limits import refuse_absurd
from partwise.packaging.arrays import is_possible
from partwise.packaging.manifest import Manifest, WeightEntry
from partwise.packaging.parse import is_name
from partwise.strict_json import json_value

__all__ = ["CONSTANT_BYTES", "graph_from_bytes", "screen_segment", "screen_whole"]

CONSTANT_BYTES = 1 << 16
"""The largest literal tensor in a graph; anything larger is a weight."""

_NAMESPACES = ("aten.", "partwise.")
_CONSTANTS = {
    "dtype": frozenset(d.value for d in DType) - {"string", "opaque"},
    "device": frozenset({"cpu"}),
    "layout": frozenset({"strided"}),
    "memory_format": frozenset({"contiguous_format", "preserve_format", "channels_last", "channels_last_3d"}),
}


def screen_segment(data: bytes, manifest: Manifest, number: int) -> Graph:
    """The graph of a segment's file, checked.

    Raises:
        ManifestError: it is no graph, or not the one that the manifest describes.
        GraphError: a broken invariant, or an absurdly large value.
        UnsafeFileError: a name that is none.
        UnsupportedOpError: an operator without a row in the operator table.
    """
    subject, entry = f"segment {number}", manifest.segments[number]
    graph = _screen(data, manifest, subject, entry.weights)
    inputs = [(port.tensor, port.dtype, port.shape) for port in entry.inputs]
    outputs = [(port.tensor, port.dtype, port.shape) for port in entry.outputs]
    _expect(subject, "inputs", inputs, _ports(graph, list(graph.inputs)))
    _expect(subject, "outputs", outputs, _ports(graph, [output.tensor for output in graph.outputs]))
    return graph


def screen_whole(data: bytes, manifest: Manifest) -> Graph:
    """The uncut graph, checked; raises what `screen_segment` raises."""
    weights = {weight.tensor: weight for segment in manifest.segments for weight in segment.weights}
    graph = _screen(data, manifest, "whole", tuple(weights.values()))
    inputs = [(port.tensor, port.dtype, port.shape) for port in manifest.inputs]
    _expect("whole", "inputs", inputs, _ports(graph, list(graph.inputs)))
    _expect("whole", "outputs", manifest.outputs, graph.outputs)
    return graph


def graph_from_bytes(data: bytes, subject: str) -> Graph:
    """The graph in a JSON file from anywhere, its invariants checked.

    Raises:
        ManifestError: no JSON.
        GraphError: no graph, or a broken invariant.
    """
    return graph_from_data(json_value(data, subject, ManifestError), subject)


def _screen(data: bytes, manifest: Manifest, subject: str, weights: tuple[WeightEntry, ...]) -> Graph:
    graph = graph_from_bytes(data, subject)
    if graph.format is not Format.TORCH:
        raise ManifestError(subject, "is in another format", expected=Format.TORCH, got=graph.format)
    _expect(subject, "symbols", manifest.symbols, graph.symbols)
    for node in graph.nodes:
        _screen_node(node, subject)
    for constant in graph.constants:
        _screen_constant(graph, constant, subject)
    refuse_absurd(graph, graph.hints, subject)
    stored = {w.tensor: (w.dtype, w.shape) for w in weights}
    _expect(subject, "weights", stored, {w.tensor: _spec(graph, w.tensor) for w in graph.weights})
    return graph


def _screen_node(node: Node, subject: str) -> None:
    operator(node.op, node.module)
    if not node.op.startswith(_NAMESPACES) or node.op.count(".") != 2:
        raise ManifestError(f"{subject}, `{node.op}`", "is no operator of torch")
    for name, value in node.kwargs:
        if not is_name(name):
            raise UnsafeFileError(f"{subject}, `{node.op}`", "has a keyword that is no name", got=repr(name)[:80])
        _screen_argument(value, f"{subject}, `{node.op}`")
    for value in node.args:
        _screen_argument(value, f"{subject}, `{node.op}`")


def _screen_argument(value: Argument, subject: str) -> None:
    match value:
        case tuple():
            for item in value:
                _screen_argument(item, subject)
        case Sym(expression):
            parse(expression)
        case Enum(space, name) if name not in _CONSTANTS[space]:
            raise UnsafeFileError(
                subject, f"`{name[:80]}` is no {space}", expected=", ".join(sorted(_CONSTANTS[space]))
            )
        case _:
            pass


def _screen_constant(graph: Graph, constant: Constant, subject: str) -> None:
    subject = f"{subject}, constant `{constant.tensor}`"
    dtype, shape = _spec(graph, constant.tensor)
    fixed = tuple(size for size in shape or () if isinstance(size, int))
    if shape is None or fixed != shape or not is_possible(fixed):
        raise ManifestError(subject, "has no fixed shape", got=str(shape)[:80])
    try:
        data = base64.b64decode(constant.data, validate=True)
    except (binascii.Error, ValueError):
        raise ManifestError(subject, "is not base64") from None
    expected = graph.spec[constant.tensor].elements({}) * dtype.bits // 8
    if len(data) != expected or expected > CONSTANT_BYTES:
        allowed = f"{expected} bytes, at most {CONSTANT_BYTES}"
        raise ManifestError(subject, "lies about its size", expected=allowed, got=len(data))


def _spec(graph: Graph, tensor: str) -> tuple[DType, tuple[int | str, ...] | None]:
    spec = graph.spec[tensor]
    return spec.dtype, spec.shape


def _ports(graph: Graph, names: list[str]) -> list[tuple[str, DType, tuple[int | str, ...] | None]]:
    return [(name, *_spec(graph, name)) for name in names]


def _expect(subject: str, what: str, promised: object, found: object) -> None:
    if promised != found:
        raise ManifestError(subject, f"its graph has other {what} than the manifest promises",
                            expected=str(promised)[:300], got=str(found)[:300])  # fmt: skip
