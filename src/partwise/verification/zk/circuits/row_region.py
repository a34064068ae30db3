"""Which nodes can be split along an axis of their output: an operator that works row by row, and what follows it so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.split import ELEMENTWISE
from partwise.verification.zk.circuits.windows import Sliding, sliding

__all__ = ["RowRegion", "Rows", "shapes_of", "window_rows"]

_WINDOWS = frozenset("Conv MaxPool AveragePool".split())
_CHANNELWISE = frozenset("MaxPool AveragePool GlobalAveragePool".split())
_SLICES_AS_INPUTS = 10
"""First operator set in which Slice takes its places as inputs. Source: ONNX, Operators.md, Slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRegion:
    """Nodes that are split together."""

    nodes: tuple[Any, ...]
    """In the model's order; the first are those asked for."""
    axis: int
    units: int
    """What is dealt out: rows of the node that has the fewest."""
    per_unit: Mapping[str, int]
    """Rows of each node's output in a unit."""
    sizes: Mapping[str, int]
    """All rows of it."""
    windows: Mapping[str, Sliding]
    """Of nodes that read more rows than they make."""
    shapes: Mapping[str, tuple[int, ...]]
    held: Mapping[str, tuple[int, ...]]
    """Constants, with their shapes."""
    exits: tuple[str, ...]
    """Values that others read or that leave the model."""

    @property
    def names(self) -> set[str]:
        """Outputs of the nodes."""
        return set(self.sizes)

    def is_taken(self, node: Any, place: int) -> bool:
        """Whether an input is a computed value of elsewhere, of which each part takes its own."""
        name = node.input[place]
        return bool(name) and name not in self.held and name not in self.sizes and self.is_sliced(node, place)

    def rows(self, node: Any, piece: slice) -> tuple[int, int]:
        """The rows of a node that some units are: the last ones have those that are left over."""
        name = node.output[0]
        last = self.sizes[name] if piece.stop == self.units else piece.stop * self.per_unit[name]
        return piece.start * self.per_unit[name], last

    def back(self, constant: str) -> int:
        """The axis in a constant that is split."""
        return self.axis - self._rank if len(self.held[constant]) > 1 or self._rank == 1 else 0

    def spatial(self, name: str) -> int:
        """Spatial dims of a value."""
        return len(self.shapes[name]) - 2

    def is_sliced(self, node: Any, place: int) -> bool:
        """Whether an input has the rows, and is not read whole by each part."""
        name = node.input[place]
        if not place or node.op_type not in ("Conv", "MatMul", "LayerNormalization", "BatchNormalization"):
            if node.op_type == "Gemm" and place == 1:
                return False
            shape = self.held.get(name) or self.shapes.get(name, ())
            back = self.axis - len(self.shapes[node.output[0]])
            return len(shape) >= -back and shape[back] > 1
        return node.op_type == "BatchNormalization" and self.axis == 1

    @property
    def _rank(self) -> int:
        return len(self.shapes[self.nodes[0].output[0]])


def shapes_of(proto: Any) -> dict[str, tuple[int, ...]]:
    """Static shapes of all values."""
    inferred = require("onnx").shape_inference.infer_shapes(proto, data_prop=True).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }


def window_rows(window: Sliding, first: int, last: int, dim: int = 0) -> tuple[int, int, int]:
    """What windows from one row to before another read along a dim, padding counted from -1 down, and the image's
    size."""
    start = first * window.strides[dim] - window.begins[dim]
    reach = (window.kernel[dim] - 1) * window.dilations[dim]
    return start, (last - 1) * window.strides[dim] - window.begins[dim] + reach + 1, window.image[dim]


class Rows:
    """What of a model can be split along an axis.

    Args:
        proto: ONNX with static shapes, constants among the initializers.
    """

    def __init__(self, proto: Any) -> None:
        self._graph = proto.graph
        self.shapes = shapes_of(proto)
        self.held = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
        self._opset = next((held.version for held in proto.opset_import if held.domain in ("", "ai.onnx")), 0)

    def region(self, nodes: Collection[str], axis: int) -> RowRegion | None:
        """The nodes of some outputs with all that follows them along an axis; None where they are not split along it.

        Args:
            nodes: outputs.
            axis: of the output, counted from 0.
        """
        if self._opset < _SLICES_AS_INPUTS:
            return None
        search = _Search(self._graph, axis, self.shapes, self.held)
        return search.around([node for node in self._graph.node if node.output[0] in nodes])


class _Search:
    """Along one axis, from one operator on."""

    def __init__(
        self, graph: Any, axis: int, shapes: Mapping[str, tuple[int, ...]], held: Mapping[str, tuple[int, ...]]
    ) -> None:
        self._graph, self._axis, self._shapes, self._held = graph, axis, shapes, held
        self._windows = dict[str, Sliding]()
        self._fewer = dict[str, int]()  # by which a node has fewer rows than the first one

    def around(self, base: list[Any]) -> RowRegion | None:
        rows = self._rows(base[0]) if base else 0
        if rows < 2 or not self._works(base[0], first=True):
            return None
        inside = {base[0].output[0]: base[0]}
        self._fewer[base[0].output[0]] = 1
        before = self._made_before(base[0])
        for node in self._graph.node:
            if node.output[0] not in inside and self._follows(node, inside, before, rows):
                inside[node.output[0]] = node
        if any(node.output[0] not in inside for node in base):
            return None
        most = max(self._fewer.values())
        return RowRegion(
            nodes=tuple(inside.values()),
            axis=self._axis,
            units=rows // most,
            per_unit={name: most // fewer for name, fewer in self._fewer.items()},
            sizes={name: self._shapes[name][self._axis] for name in inside},
            windows=self._windows,
            shapes=self._shapes,
            held=self._held,
            exits=tuple(self._exits(inside)),
        )

    def _rows(self, node: Any) -> int:
        shape = self._shapes.get(node.output[0], ())
        return shape[self._axis] if self._axis < len(shape) else 0

    def _made_before(self, base: Any) -> set[str]:
        found = {value.name for value in self._graph.input} - set(self._held)
        for node in self._graph.node:
            if node.output[0] == base.output[0]:
                break
            found |= set(node.output)
        return found

    def _works(self, node: Any, *, first: bool) -> bool:
        """Whether a node makes each of its rows from the same rows of what it reads, or from a window of them."""
        if len([name for name in node.output if name]) != 1:
            return False
        rank = len(self._shapes[node.output[0]])
        match node.op_type:
            case "Gemm":
                return self._axis == 0 and node.input[1] in self._held and not _attribute(node, "transA")
            case "MatMul":
                return self._axis < rank - 1 and len(self._held.get(node.input[1], ())) == 2
            case "LayerNormalization":
                return self._axis < (_attribute(node, "axis", -1)) % rank
            case "BatchNormalization":
                return self._axis > 0
            case op if op in _CHANNELWISE and self._axis == 1:
                return True
            case op if op in _WINDOWS and self._axis > 1 and first:
                return self._slides(node)
            case op:
                return op in ELEMENTWISE

    def _slides(self, node: Any) -> bool:
        if node.op_type == "AveragePool" and _attribute(node, "ceil_mode"):
            return False
        onnx = require("onnx")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes["auto_pad"] = attributes.get("auto_pad", b"NOTSET").decode()
        if node.op_type == "Conv":
            if node.input[1] not in self._held:
                return False
            attributes["kernel_shape"] = self._held[node.input[1]][2:]
        image, places = self._shapes[node.input[0]][2:], self._shapes[node.output[0]][2:]
        try:
            found = sliding(node.name, attributes, image, places)
        except UnsupportedOpError:
            return False
        self._windows[node.output[0]] = _along(found, self._axis - 2)
        return True

    def _follows(self, node: Any, inside: Mapping[str, Any], before: set[str], rows: int) -> bool:
        computed = [name for name in node.input if name and name not in self._held]
        among = [name for name in computed if name in inside]
        if not among or any(name not in before for name in computed if name not in inside):
            return False
        fewer = {self._fewer[name] for name in among}
        if len(fewer) > 1 or len(node.output) != 1:
            return False
        if self._pools_evenly(node):
            step = _attribute(node, "kernel_shape")[self._axis - 2]
            if rows // (min(fewer) * step) < 2:
                return False
            self._fewer[node.output[0]] = min(fewer) * step
            return True
        is_alike = node.op_type in {*ELEMENTWISE, "BatchNormalization", "LayerNormalization"} or (
            node.op_type in _CHANNELWISE and self._axis == 1
        )
        sizes = {self._shapes[name][self._axis] for name in among}
        if not is_alike or sizes != {self._rows(node)} or not self._works(node, first=False):
            return False
        self._fewer[node.output[0]] = min(fewer)
        return True

    def _pools_evenly(self, node: Any) -> bool:
        """Whether windows of a pool lie side by side along the axis, so that parts of one are parts of the other."""
        if node.op_type not in ("MaxPool", "AveragePool") or self._axis < 2:
            return False
        dim, kernel = self._axis - 2, _attribute(node, "kernel_shape")
        pads = _attribute(node, "pads") or [0] * 2 * len(kernel)
        strides, dilations = (_attribute(node, name) or [1] * len(kernel) for name in ("strides", "dilations"))
        if _attribute(node, "ceil_mode") or _attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return False
        return (strides[dim], dilations[dim], pads[dim], pads[dim + len(kernel)]) == (kernel[dim], 1, 0, 0)

    def _exits(self, inside: Mapping[str, Any]) -> list[str]:
        read = {name for node in self._graph.node if node.output[0] not in inside for name in node.input}
        read |= {output.name for output in self._graph.output}
        return [name for name in inside if name in read]


def _attribute(node: Any, name: str, usual: Any = 0) -> Any:
    onnx = require("onnx")
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), usual)


def _along(window: Sliding, dim: int) -> Sliding:
    """A window along one dim alone."""
    kept = slice(dim, dim + 1)
    return Sliding(
        image=window.image[kept],
        kernel=window.kernel[kept],
        strides=window.strides[kept],
        dilations=window.dilations[kept],
        begins=window.begins[kept],
        places=window.places[kept],
    )
