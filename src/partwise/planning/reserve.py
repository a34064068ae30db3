"""What a stage's memory holds beside weights and activations: K/V of sequences under way, and the engine itself.

A state belongs to the stage that writes and reads it, so the bytes of each are those of a node, and a stage holds the
sum over its own. One function says which: the value of a plan, its bounds, its check and every explanation ask it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from partwise.errors import GraphError, InputError
from partwise.ir import Graph, Kind, Ref, TensorSpec, operator
from partwise.ir.dims import evaluate_shape

__all__ = ["NOTHING", "Kept", "Reserve", "kept_in"]

_ATTENTION = "aten.scaled_dot_product_attention.default"
_GENERATING = ("CausalLM", "LMHeadModel")
"""In the names of transformers' classes that generate with a cache of their own attention."""
_CAPTURE = "partwise capture MODEL --cache CAPACITY, and plan that graph."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Room that every stage keeps free of weights and activations."""

    cache: int | None = None
    """Tokens of each sequence whose K/V are kept; None: as many as the buffers of a graph with a cache have room for,
    none where there are no buffers."""
    sequences: int | None = None
    """Whose K/V are kept at once; None: the batch."""
    overhead_bytes: int = 0
    """What an engine takes for itself on each device."""


NOTHING = Reserve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept where."""

    nodes: Mapping[int, int] = field(default_factory=dict[int, int])
    """Bytes that the stage of a node keeps for it."""
    apart: frozenset[str] = frozenset()
    """Tensors that are counted there, and not among the activations: buffers, before and after they are written."""
    overhead_bytes: int = 0


def kept_in(graph: Graph, sizes: Mapping[str, int], reserve: Reserve) -> Kept:
    """What stages of a graph keep.

    Args:
        graph: with K/V buffers; or without, and then sized by its attention nodes, if tokens are reserved.
        sizes: values of its symbols.
        reserve: how much of everything.

    Raises:
        InputError: a number below 1, or a graph that does not show what is kept of a token.
        GraphError: a state among the inputs that is no K/V buffer.
    """
    for name, value in (("--cache", reserve.cache), ("--sequences", reserve.sequences)):
        if value is not None and value < 1:
            raise InputError(name, "must be at least 1", got=value)
    if reserve.overhead_bytes < 0:
        raise InputError("--overhead", "must be at least 0", got=reserve.overhead_bytes)
    if graph.writes:
        nodes = {index: _buffer_bytes(graph.spec[name], sizes, reserve) for index, name in graph.writes.items()}
        written = {output for index in graph.writes for output in graph.nodes[index].outputs}
        apart = frozenset({*graph.writes.values(), *written})
        return Kept(nodes=nodes, apart=apart, overhead_bytes=reserve.overhead_bytes)
    if reserve.cache is None:
        if reserve.sequences is not None:
            raise InputError("--sequences", "is of sequences whose K/V are kept, and nothing says how many tokens",
                             hint="add --cache TOKENS.")  # fmt: skip
        return Kept(overhead_bytes=reserve.overhead_bytes)
    nodes = dict(_attention_bytes(graph, sizes, reserve.cache, reserve.sequences))
    return Kept(nodes=nodes, overhead_bytes=reserve.overhead_bytes)


def _buffer_bytes(spec: TensorSpec, sizes: Mapping[str, int], reserve: Reserve) -> int:
    """Of a buffer [batch, heads, capacity, width] at the capacity and number of sequences reserved."""
    shape = evaluate_shape(spec.shape or (), sizes)
    if len(shape) != 4:
        raise GraphError(f"state `{spec.name}`", "is no buffer of keys or values",
                         expected="[batch, heads, capacity, width]", got=list(shape))  # fmt: skip
    batch, heads, capacity, width = shape
    elements = (reserve.sequences or batch) * heads * (reserve.cache or capacity) * width
    return (elements * spec.dtype.bits + 7) // 8


def _attention_bytes(
    graph: Graph, sizes: Mapping[str, int], tokens: int, sequences: int | None
) -> list[tuple[int, int]]:
    """For each attention node the bytes of the keys and values that a cache would keep for it."""
    task = dict(graph.settings).get("task")
    if isinstance(task, str) and not any(word in task for word in _GENERATING):
        raise InputError("--cache", f"is for models that generate, and `{task}` does not")
    found: list[tuple[int, int]] = []
    for index, node in enumerate(graph.nodes):
        if operator(node.op).kind is not Kind.ATTENTION:
            continue
        pair = [argument.name for argument in node.args[:3] if isinstance(argument, Ref)]
        if node.op != _ATTENTION or len(pair) < 3:
            raise InputError("--cache", f"node `{node.name}` ({node.op}) does not show its K/V heads", hint=_CAPTURE)
        found.append((index, sum(_token_bytes(graph, sizes, pair[0], name, sequences) for name in pair[1:]) * tokens))
    if not found:
        raise InputError("--cache", f"`{graph.name}` has no attention node that shows its K/V heads and their width",
                         hint=_CAPTURE)  # fmt: skip
    return found


def _token_bytes(graph: Graph, sizes: Mapping[str, int], query: str, name: str, sequences: int | None) -> int:
    """Bytes of the keys (or values) of one token of all sequences, as they are before heads are repeated."""
    asked, shape = (evaluate_shape(graph.spec[each].shape or (), sizes) for each in (query, name))
    if len(shape) != 4 or len(asked) != 4 or asked[-2] != shape[-2]:
        raise InputError("--cache", f"`{name}` is not the keys and values of the tokens that attend to them",
                         expected="[batch, heads, tokens, width]", got=list(shape), hint=_CAPTURE)  # fmt: skip
    batch, length, spec = shape[0], shape[-2], graph.spec[name]
    return _fewest_elements(graph, sizes, name) // (batch * length) * spec.dtype.bits // 8 * (sequences or batch)


def _fewest_elements(graph: Graph, sizes: Mapping[str, int], name: str) -> int:
    """Elements of a value before anything repeated them: the least along the views and copies that it comes from."""
    least = graph.spec[name].elements(dict(sizes))
    while name in graph.producer:
        node = graph.nodes[graph.producer[name]]
        if operator(node.op).kind not in (Kind.VIEW, Kind.MOVEMENT) or len(node.inputs) != 1:
            break
        name = node.inputs[0]
        least = min(least, graph.spec[name].elements(dict(sizes)))
    return least
