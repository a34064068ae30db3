"""The two halves of a written-out LayerNormalization found again, as `split_norm` writes them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from partwise.extras import require

__all__ = ["INVERSE_DEVIATION", "NORMALIZED", "fuse_norm"]

INVERSE_DEVIATION, NORMALIZED = "InverseDeviation", "Normalized"
"""Operators of this package's own, which no model has: 1/σ of each row; (x − mean) · (1/σ) · gain + shift."""
_MEAN_AXES = ([-1],)


def fuse_norm(graph: Any, constants: dict[str, NDArray[Any]]) -> None:
    """Each half of a normalization over the last dim becomes one node.

    Args:
        graph: an ONNX graph; changed in place.
        constants: its constants by name.
    """
    search = _Search(graph, constants)
    for node in list(graph.node):
        match node.op_type:
            case "Reciprocal":
                search.fuse_root(node)
            case "Mul":
                search.fuse_normal(node)
            case _:
                pass
    kept = [copied(node) for node in graph.node if node.output[0] not in search.gone]
    del graph.node[:]
    graph.node.extend(kept)


def copied(node: Any) -> Any:
    """A node that stays when its graph's list is emptied."""
    copy = type(node)()
    copy.CopyFrom(node)
    return copy


class _Search:
    def __init__(self, graph: Any, constants: dict[str, NDArray[Any]]) -> None:
        self._constants, self._onnx = constants, require("onnx")
        self._maker = {output: node for node in graph.node for output in node.output}
        self._readers = dict[str, list[Any]]()
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._returned = {output.name for output in graph.output}
        self.gone = set[str]()

    def fuse_root(self, last: Any) -> None:
        """ReduceMean, Sub, Mul, ReduceMean, Add, Sqrt, Reciprocal."""
        root = self._before(last.input[0], "Sqrt")
        raised = self._before(root.input[0], "Add") if root else None
        variance = self._before(raised.input[0], "ReduceMean") if raised else None
        squares = self._before(variance.input[0], "Mul") if variance else None
        if root is None or raised is None or variance is None or squares is None:
            return
        centred = self._centred(squares.input[0], readers=2)
        epsilon = self._constants.get(raised.input[1])
        is_whole = squares.input[0] == squares.input[1] and self._is_mean(variance)
        if centred is None or epsilon is None or epsilon.size != 1 or not is_whole:
            return
        within = {node.output[0] for node in (root, raised, variance, squares)} | centred[1]
        attribute = self._onnx.helper.make_attribute("epsilon", float(epsilon.reshape(-1)[0]))
        self._become(last, INVERSE_DEVIATION, [centred[0]], within, [attribute])

    def fuse_normal(self, normal: Any) -> None:
        """ReduceMean, Sub, Mul by a computed 1/σ, Mul by the gain, Add of the shift."""
        centred = self._centred(normal.input[0], readers=1)
        scaled = self._after(normal, "Mul")
        is_computed = normal.input[1] not in self._constants
        if centred is None or scaled is None or not is_computed or scaled.input[1] not in self._constants:
            return
        within, inputs = {normal.output[0]} | centred[1], [centred[0], normal.input[1], scaled.input[1]]
        shifted = self._after(scaled, "Add")
        if shifted is not None and shifted.input[1] in self._constants:
            self._become(shifted, NORMALIZED, [*inputs, shifted.input[1]], within | {scaled.output[0]}, [])
        else:
            self._become(scaled, NORMALIZED, inputs, within, [])

    def _centred(self, name: str, readers: int) -> tuple[str, set[str]] | None:
        """x of x − mean(x), and the values on the way."""
        sub = self._maker.get(name)
        if sub is None or sub.op_type != "Sub" or not self._is_inner(name, readers):
            return None
        mean = self._before(sub.input[1], "ReduceMean")
        if mean is None or mean.input[0] != sub.input[0] or not self._is_mean(mean):
            return None
        return sub.input[0], {sub.output[0], mean.output[0]}

    def _become(self, node: Any, op: str, inputs: list[str], within: set[str], attributes: list[Any]) -> None:
        node.op_type = op
        del node.input[:], node.attribute[:]
        node.input.extend(inputs)
        node.attribute.extend(attributes)
        self.gone |= within

    def _is_mean(self, node: Any) -> bool:
        """Over the last dim, which stays."""
        found = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        axes = self._constants[node.input[1]].tolist() if len(node.input) > 1 else found.get("axes")
        return axes in _MEAN_AXES and found.get("keepdims", 1) == 1

    def _before(self, name: str, op: str) -> Any | None:
        """The node that makes a value which nothing else reads."""
        node = self._maker.get(name)
        return node if node is not None and node.op_type == op and self._is_inner(name, 1) else None

    def _after(self, node: Any, op: str) -> Any | None:
        """The only node that reads a value."""
        name = node.output[0]
        reader = self._readers[name][0] if self._is_inner(name, 1) else None
        return reader if reader is not None and reader.op_type == op and reader.input[0] == name else None

    def _is_inner(self, name: str, readers: int) -> bool:
        return name not in self._returned and len(self._readers.get(name, ())) == readers
