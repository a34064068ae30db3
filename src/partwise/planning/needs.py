"""What every placed node needs beside itself, as flat arrays: values, weights, nodes to repeat.

The same answer as `Contraction.reads` for all placed nodes at once: most inputs come straight from a placed node or
are weights, and only those made by a repeated node ask for its closure, which is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from partwise.ir import Contraction
from partwise.planning.arrays import Bits, Ints, Pairs, Rows

__all__ = ["Needs", "flat", "flow_rows", "node_needs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """(node, thing) pairs, a pair perhaps more than once."""

    reads: Pairs
    """Values that come from a placed node or the caller."""
    holds: Pairs
    """Weights and constants."""
    repeats: Pairs
    """Nodes that are repeated for it."""


def node_needs(contraction: Contraction, ids: Mapping[str, int], rows: Rows) -> Needs:
    """What each placed node needs.

    Args:
        contraction: the graph seen through its placed nodes.
        ids: the number of each tensor.
        rows: those that each node of the graph reads.
    """
    graph = contraction.graph
    node = np.repeat(np.arange(len(graph.nodes)), np.diff(rows.starts))
    placed = np.zeros(len(graph.nodes), bool)
    placed[list(contraction.placed)] = True
    held, again = _kinds(contraction, ids)
    node, tensor = node[placed[node]], rows.items[placed[node]]
    is_held, is_again = held[tensor], again[tensor]
    plain = ~(is_held | is_again)
    extra = _expanded(contraction, ids, node[is_again], tensor[is_again])
    return Needs(
        reads=_joined(Pairs(node[plain], tensor[plain]), extra.reads),
        holds=_joined(Pairs(node[is_held], tensor[is_held]), extra.holds),
        repeats=extra.repeats,
    )


def flow_rows(names: Iterable[tuple[str, ...]], ids: Mapping[str, int]) -> Rows:
    """Lists of tensors by name as lists of numbers."""
    several = tuple(names)
    items = np.fromiter(map(ids.__getitem__, chain.from_iterable(several)), np.int64)
    return Rows(np.concatenate(([0], np.cumsum([len(row) for row in several], dtype=np.int64))), items)


def flat(pairs: Pairs, count: int) -> Pairs:
    """Each pair once, by its first number, then by its second, which is below `count`."""
    keys = np.sort(pairs.unit * count + pairs.item, kind="stable")  # mostly sorted, or in a few sorted runs
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return Pairs(keys // count, keys % count)


def _kinds(contraction: Contraction, ids: Mapping[str, int]) -> tuple[Bits, Bits]:
    """[tensors] Which tensors are weights or constants, and which are made by a repeated node."""
    graph = contraction.graph
    held, again = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
    held[[ids[weight.tensor] for weight in graph.weights]] = True
    held[[ids[constant.tensor] for constant in graph.constants]] = True
    again[[ids[n] for i, node in enumerate(graph.nodes) if not contraction.is_placed(i) for n in node.outputs]] = True
    return held, again


def _expanded(contraction: Contraction, ids: Mapping[str, int], node: Ints, tensor: Ints) -> Needs:
    """What nodes need for values that repeated nodes make."""
    found: tuple[list[Ints], ...] = ([], [], [])
    order = np.argsort(tensor, kind="stable")
    node, tensor = node[order], tensor[order]
    names = tuple(ids)
    starts: list[int] = np.unique(tensor, return_index=True)[1].tolist()
    for start, end in pairwise([*starts, len(tensor)]):
        closure, readers = contraction.of(names[int(tensor[start])]), node[start:end]
        received = sorted(ids[name] for name in closure.received)
        weights = sorted(ids[name] for name in closure.weights)
        for pairs, items in zip(found, (received, weights, sorted(closure.repeated)), strict=True):
            if items:
                pairs.append(np.stack((np.repeat(readers, len(items)), np.tile(items, len(readers)))))
    several = [np.concatenate((np.zeros((2, 0), np.int64), *pairs), axis=1) for pairs in found]
    reads, holds, repeats = (Pairs(unit, item) for unit, item in several)
    return Needs(reads=reads, holds=holds, repeats=repeats)


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(np.concatenate((one.unit, other.unit)), np.concatenate((one.item, other.item)))
