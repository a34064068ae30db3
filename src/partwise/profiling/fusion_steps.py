"""What fusion needs to know of each node: how its result depends on its arguments.

A kernel works on a tile of *rows*: the leading dims of a tensor (tokens of a batch), or its *pixels* (batch and
spatial dims of N, C, H, W). A node is pointwise, needs whole rows, contracts rows with another operand, looks at
a window of pixels, looks things up anywhere, or is opaque. What an operator of a kind does not fit is opaque or
a window: never fused where that could be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod

from partwise.ir import Kind, Node, Ref, operator
from partwise.ir.dims import evaluate_shape
from partwise.profiling.fusion_flow import Flow

__all__ = ["Read", "Role", "Shape", "Step", "batch_norms", "steps"]

Shape = tuple[int, ...]

batch_norms = frozenset("_native_batch_norm_legit_no_training.default batch_norm.default BatchNormalization".split())
_MOVES = frozenset(
    """
    clone.default _to_copy.default cat.default concat.default concatenate.default stack.default pad.default
    constant_pad_nd.default lift_fresh_copy.default expand_copy.default permute_copy.default view_copy.default
    repeat.default Transpose Reshape Concat Expand Flatten Squeeze Unsqueeze Pad Split Slice
    """.split()
)
"""Movement that reads each element at a place known from its own; other movement is a look-up."""
_PADS = frozenset("pad.default constant_pad_nd.default Pad".split())
_LAYER_NORMS = frozenset(
    "layer_norm.default native_layer_norm.default rms_norm.default _fused_rms_norm.default "
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization".split()
)
_SOFTMAXES = frozenset("_softmax.default softmax.int _log_softmax.default log_softmax.int Softmax LogSoftmax".split())
_STREAMED = dict.fromkeys(
    "linear.default matmul.default mm.default bmm.default MatMul Gemm scaled_dot_product_attention.default".split(), 0
) | dict.fromkeys("addmm.default baddbmm.default".split(), 1)
"""Contractions, and the place of the operand whose rows are those of the result."""
_IN_PLACE_VIEWS = frozenset(
    """
    view.default _unsafe_view.default unsqueeze.default squeeze.default squeeze.dim squeeze.dims flatten.using_ints
    unflatten.int alias.default detach.default expand.default expand_as.default view_as.default positive.default
    Reshape Flatten Squeeze Unsqueeze Identity
    """.split()
)
"""Views that keep the order of elements in memory."""


class Role(StrEnum):
    """How a node's result depends on its arguments."""

    POINTWISE = "pointwise"
    ROW = "row"
    """Needs whole rows of its argument: norms, softmax, a reduction of the last dims."""
    CONTRACTION = "contraction"
    """Rows of one operand with all of the others: products, attention, 1×1 convolutions."""
    WINDOW = "window"
    """Needs more of its argument than a tile: larger convolutions, pooling, other reductions."""
    LOOKUP = "lookup"
    """Reads anywhere: an embedding, an index."""
    OPAQUE = "opaque"
    """Alone, always."""


@dataclass(frozen=True, slots=True)
class Read:
    """One memory that a node reads."""

    memory: str
    shape: Shape
    """As the node sees it."""
    moved: bool
    """Seen through a view that permutes or slices: elements do not lie where the memory's rows have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node, or several that are one kernel anyway."""

    nodes: tuple[int, ...]
    role: Role
    rows: int
    """Rows (or pixels) of the result that are computed independently; 0 where the role has none."""
    pixels: bool
    streamed: str
    """The memory whose rows it works through; empty where it has none."""
    reads: tuple[Read, ...]
    """Activations only."""
    shape: Shape
    """Of the result."""
    copies: bool
    """Moves elements, so its result may be larger than its arguments without repeating any."""
    pads: bool
    then: tuple[Step, ...] = ()
    """Steps that are always in the same kernel, behind this one."""

    @property
    def whole(self) -> tuple[Step, ...]:
        """This step without those behind it, and those."""
        return (self, *self.then)

    @property
    def all_nodes(self) -> tuple[int, ...]:
        """The nodes of all of them."""
        return tuple(index for step in self.whole for index in step.nodes)


def steps(flow: Flow) -> dict[int, Step]:
    """A step for each node that is no view."""
    reader = _Reader(flow)
    return {index: reader.step(index) for index in flow.working}


class _Reader:
    def __init__(self, flow: Flow) -> None:
        self.flow, self.graph = flow, flow.graph
        self.sizes = flow.profile.sizes
        self._seen: dict[str, bool] = {}

    def step(self, index: int) -> Step:
        node, flow = self.graph.nodes[index], self.flow
        name = node.op.split(".", 1)[1]
        shape = self._shape(node.name)
        role, streamed = self._role(node, name, flow.kinds[index], shape)
        pixels = role in (Role.CONTRACTION, Role.WINDOW) and flow.kinds[index] in (Kind.CONV, Kind.POOL)
        pixels = pixels and len(shape) > 2
        return Step(
            nodes=(index,),
            role=role,
            rows=_rows(self._rows_of(node, name, role), shape, pixels),
            pixels=pixels,
            streamed=flow.roots.get(streamed, ""),
            reads=tuple(
                Read(root, self._shape(tensor), self._is_moved(tensor))
                for root, tensor in flow.reads[index]
                if root not in flow.resting
            ),
            shape=shape,
            copies=name in _MOVES,
            pads=name in _PADS,
        )

    def _shape(self, tensor: str) -> Shape:
        shape = self.graph.spec[tensor].shape
        return evaluate_shape(shape, self.sizes) if shape is not None else ()

    def _is_moved(self, tensor: str) -> bool:
        """Whether any view between a tensor and its memory permutes or slices."""
        if tensor not in self._seen:
            maker = self.graph.producer.get(tensor)
            node = None if maker is None else self.graph.nodes[maker]
            if node is None or maker is None or self.flow.kinds[maker] is not Kind.VIEW or not node.inputs:
                self._seen[tensor] = False
            else:
                kept = node.op.split(".", 1)[1] in _IN_PLACE_VIEWS
                self._seen[tensor] = not kept or self._is_moved(node.inputs[0])
        return self._seen[tensor]

    def _role(self, node: Node, name: str, kind: Kind, shape: Shape) -> tuple[Role, str]:
        """The role, and the tensor that it streams."""
        first = node.inputs[0] if node.inputs else ""
        match kind:
            case Kind.ELEMENTWISE | Kind.FACTORY:
                return Role.POINTWISE, ""
            case Kind.MOVEMENT:
                return (Role.POINTWISE if name in _MOVES else Role.LOOKUP), ""
            case Kind.EMBEDDING:
                return Role.LOOKUP, ""
            case Kind.NORM if name in batch_norms:
                return Role.POINTWISE, ""
            case Kind.NORM if name in _LAYER_NORMS:
                return Role.ROW, first
            case Kind.REDUCTION if not operator(node.op).uncounted and self._reduces_last(node, name, shape):
                return Role.ROW, first
            case Kind.NORM | Kind.REDUCTION | Kind.POOL:
                return Role.WINDOW, ""
            case Kind.MATMUL | Kind.ATTENTION if name in _STREAMED:
                return self._contraction(node, _STREAMED[name])
            case Kind.CONV if self._is_pointwise_convolution(node, shape):
                return self._contraction(node, 0)
            case Kind.CONV:
                return Role.WINDOW, ""
            case _:
                return Role.OPAQUE, ""

    def _contraction(self, node: Node, place: int) -> tuple[Role, str]:
        operand = node.args[place] if place < len(node.args) else None
        if not isinstance(operand, Ref) or len(self._shape(operand.name)) < 2 or node.keyword("transA", 0):
            return Role.WINDOW, ""
        if node.args.count(operand) > 1:
            return Role.WINDOW, ""  # it contracts a value with itself, and needs the whole of it
        return Role.CONTRACTION, operand.name

    def _is_pointwise_convolution(self, node: Node, shape: Shape) -> bool:
        """Kernel and stride 1: the result's pixels are the argument's."""
        kernel = [self._shape(a.name) for a in node.args[1:2] if isinstance(a, Ref)]
        source = self._shape(node.inputs[0])
        return bool(kernel) and prod(kernel[0][2:]) == 1 and source[2:] == shape[2:] and len(shape) > 2

    def _reduces_last(self, node: Node, name: str, shape: Shape) -> bool:
        source = self._shape(node.inputs[0]) if node.inputs else ()
        if not source:
            return False
        if name in _SOFTMAXES:
            axis = node.args[1] if len(node.args) > 1 else node.keyword("axis", -1)
            return axis in (-1, len(source) - 1)
        kept = source[:-1]
        return len(node.outputs) == 1 and shape in (kept, (*kept, 1)) and shape != source

    def _rows_of(self, node: Node, name: str, role: Role) -> int:
        """Independent rows of a row operation; 0 where the result's shape tells."""
        if role is not Role.ROW:
            return 0
        source = self._shape(node.inputs[0])
        if name in _LAYER_NORMS:
            given = node.args[1] if len(node.args) > 1 else None
            dims = len(given) if isinstance(given, tuple) else 1
            return prod(source[: len(source) - dims])
        return prod(source[:-1])


def _rows(known: int, shape: Shape, pixels: bool) -> int:
    if known:
        return known
    return prod(shape) // shape[1] if pixels and shape[1] else prod(shape[:-1])
