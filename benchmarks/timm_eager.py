"""What eager torch runs of a captured model under autocast: types, casts, layouts. `accuracy_timm.py` predicts these.

Weights and input are float32. Each operator wants its arguments in a type of its own (the lists below) and casts those
that lie in another one, weights at every step: their casts are kept only until the context is left. No rule knows a
model.

Source: PyTorch 2.4, "CUDA Ops that can autocast" (docs, torch.amp) and `aten/src/ATen/autocast_mode.{h,cpp}`; timm's
`benchmark.py`, which enters autocast anew in every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from partwise.ir import DType, Graph, Kind, Node
from partwise.profiling import Cost, Profile

__all__ = ["autocast", "from_input", "without_dropouts"]

LOWER = frozenset(
    """addbmm addmm addmv addr baddbmm bmm chain_matmul conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d einsum linear lstm gru matmul mm mv prelu scaled_dot_product_attention""".split()
)
"""Run in 16 bits; einsum by the bmm that it is made of."""
UPPER = frozenset(
    """acos asin cosh cumprod cumsum dist erfinv exp expm1 group_norm layer_norm linalg_vector_norm log log10
    log_softmax log1p log2 norm pow prod reciprocal rsqrt sinh softmax softplus sum tan""".split()
)
"""Run in 32 bits. All others take their arguments as they are, and give the widest of their types."""
HALF, SINGLE = 2, 4


def without_dropouts(data: dict[str, Any]) -> dict[str, Any]:
    """A graph's JSON without the copies that capture makes of dropouts.

    Eager torch returns the argument itself (`aten/src/ATen/native/Dropout.cpp`, not in training); a compiler removes
    the copy. A copy that changes a layout states its memory format and stays.
    """
    same: dict[str, str] = {}
    for node in data["nodes"]:
        if node["op"] == "aten.clone.default" and len(node["args"]) == 1 and not node["kwargs"]:
            source: str = node["args"][0]["ref"]
            same[node["outputs"][0]] = same.get(source, source)
    for output in data["outputs"]:
        same.pop(output["tensor"], None)
    nodes = [node for node in data["nodes"] if node["outputs"][0] not in same]
    tensors = [spec for spec in data["tensors"] if spec["name"] not in same]
    return data | {"nodes": _renamed(nodes, same), "tensors": tensors}


def _renamed(data: Any, same: Mapping[str, str]) -> Any:
    match data:
        case {"ref": str(name)}:
            return {"ref": same.get(name, name)}
        case dict():
            return {key: _renamed(value, same) for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_renamed(value, same) for value in data]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return data


def from_input(graph: Graph) -> frozenset[str]:
    """The values that depend on the model's inputs."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if found.intersection(node.inputs):
            found.update(node.outputs)
    return frozenset(found)


def autocast(graph: Graph, counted: Profile, scale: Fraction, *, channels_last: bool) -> Profile:
    """The counts of a float32 model as eager torch runs it under autocast.

    Args:
        graph: captured in float32.
        counted: its counts, at another batch than it was captured at.
        scale: of the batches.
        channels_last: whether model and input lie with their channels last.
    """
    casting = _Casting(graph, counted, scale, channels_last, from_input(graph))
    for node, cost in zip(graph.nodes, counted.nodes, strict=True):
        casting.add(node, cost)
    return replace(counted, nodes=tuple(replace(cost, node=number) for number, cost in enumerate(casting.costs)))


@dataclass(slots=True)
class _Casting:
    graph: Graph
    counted: Profile
    scale: Fraction
    channels_last: bool
    grows: frozenset[str]
    costs: list[Cost] = field(default_factory=list[Cost])
    widths: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of an element, where it is not what was captured."""
    last: set[str] = field(default_factory=set[str])
    """Values whose channels lie last though those of the model do not: a permuted layer norm's."""

    def add(self, node: Node, cost: Cost) -> None:
        """A node with the casts that it asks for."""
        name = node.op.split(".")[1].strip("_")
        floats = [name for name in node.inputs if self._is_float(name)]
        wanted = HALF if name in LOWER else SINGLE if name in UPPER else None
        for argument in dict.fromkeys(floats) if wanted else ():
            if self._width(argument) != wanted:
                self._cast(argument, cost, wanted or SINGLE)
        made = wanted or self._promoted(node, cost, floats)
        self.widths.update(dict.fromkeys(filter(self._is_float, node.outputs), made))
        self.costs.append(self._in_types(node, cost, wanted, made))
        self._lay_out(name, node, self.costs[-1])

    def _in_types(self, node: Node, cost: Cost, wanted: int | None, made: int) -> Cost:
        """The node's traffic in the types that it reads and writes."""
        moving = [name for name in node.inputs if name not in self.graph.held and self._is_float(name)]
        read = sum(self._elements(name) * (wanted or self._width(name)) for name in moving)
        captured = sum(self._elements(name) * SINGLE for name in moving)
        is_float = self._is_float(node.outputs[0])
        return replace(
            cost,
            input_bytes=cost.input_bytes * read // captured if captured else cost.input_bytes,
            output_bytes=cost.output_bytes * made // SINGLE if is_float else cost.output_bytes,
            weight_bytes=cost.weight_bytes * (wanted or SINGLE) // SINGLE,
            dtype="float16" if is_float and made == HALF else cost.dtype,
        )

    def _lay_out(self, name: str, node: Node, cost: Cost) -> None:
        """Where channels come first: what a permuted layer norm leaves last stays so up to the next one; a dense
        convolution of anything else is laid out anew, and back."""
        source = node.inputs[0] if node.inputs else ""
        is_turned = name == "permute" and node.args[1] == (0, 3, 1, 2) and source not in self.last
        if is_turned or (cost.kind in (Kind.ELEMENTWISE, Kind.CONV) and source in self.last):
            self.last.update(node.outputs)
        elif not self.channels_last and self._is_wide(node, cost):
            self._transpose(cost, source)

    def _is_wide(self, node: Node, cost: Cost) -> bool:
        """A dense convolution of more than single pixels: those are products as they lie, whatever the layout."""
        is_dense = cost.kind is Kind.CONV and [product.batch for product in cost.products] == [1]
        return is_dense and (self.graph.spec[node.inputs[1]].shape or ())[2:] != (1, 1)

    def _is_float(self, name: str) -> bool:
        return self.graph.spec[name].dtype is DType.FLOAT32

    def _elements(self, name: str) -> int:
        captured = self.graph.spec[name].elements(self.counted.sizes)
        return int(captured * self.scale) if name in self.grows else captured

    def _width(self, name: str) -> int:
        return self.widths.get(name, SINGLE)

    def _promoted(self, node: Node, cost: Cost, floats: list[str]) -> int:
        """The widest type; a batch norm and a view give that of their first argument. Single values do not count."""
        if cost.kind in (Kind.NORM, Kind.VIEW):
            floats = [name for name in node.inputs[:1] if name in floats]
        wide = [name for name in floats if self.graph.spec[name].shape] or floats
        return max((self._width(name) for name in wide), default=SINGLE)

    def _cast(self, name: str, cost: Cost, wanted: int) -> None:
        """A copy in another type: from a weight at every step, as from an activation."""
        amount, held = self._elements(name), name in self.graph.held
        read = amount * self._width(name)
        self._move(cost, "autocast.cast", 0 if held else read, amount * wanted, read if held else 0)

    def _transpose(self, cost: Cost, source: str) -> None:
        """Tensor cores take the channels last: argument and result of a dense convolution are laid out anew.

        Source: NVIDIA, "Convolutional Layers User's Guide" (2023-02), section 2.2 "Tensor layouts": channels first
        means an automatic transpose before and after.
        """
        for moved in (self._elements(source) * HALF, cost.output_bytes):
            self._move(cost, "layout.transpose", moved, moved, 0)

    def _move(self, cost: Cost, op: str, read: int, written: int, held: int) -> None:
        self.costs.append(
            replace(
                cost,
                op=op,
                kind=Kind.MOVEMENT,
                macs=0,
                products=(),
                input_bytes=read,
                output_bytes=written,
                weight_bytes=held,
                state_bytes=0,
            )
        )
