"""Greedy fusion by known patterns: norm chains, a chain of pointwise steps behind any step, parallel products.

Source of the boundaries (fork, join, resource limit): seed 004, "Greedy Sequential Fusion".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from partwise.profiling.fusion_bundles import MOST_STEPS, only_reader
from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_kernel import Kernel
from partwise.profiling.fusion_order import reaches
from partwise.profiling.fusion_steps import Role, Step

__all__ = ["pattern_groups"]

Groups = list[list[int]]


def pattern_groups(flow: Flow, found: dict[int, Step], limit: int | None) -> Groups:
    """Groups of places in `found`: norm chains, then chains over single readers, then parallel products."""
    group_of = {place: [place] for place in found}
    for place, step in sorted(found.items()):
        chain = _norm_around(flow, found, place) if step.role is Role.ROW else []
        if chain and all(len(group_of[member]) == 1 for member in chain) and _legal(flow, found, chain, limit):
            group_of.update(dict.fromkeys(chain, chain))
    for place in sorted(found):
        _extend(flow, found, group_of, place, limit)
    _join_parallel(flow, found, group_of, limit)
    return [list(group) for group in {id(group): group for group in group_of.values()}.values()]


def _extend(flow: Flow, found: dict[int, Step], group_of: dict[int, list[int]], place: int, limit: int | None) -> None:
    """Put a pointwise step behind the maker of its one argument, whose one reader it is."""
    step = found[place]
    made = {read.memory for read in step.reads if read.memory in flow.maker}
    if step.role is not Role.POINTWISE or len(made) != 1 or len(group_of[place]) > 1:
        return
    memory = made.pop()
    before = group_of.get(flow.maker[memory])
    if before is None or memory in flow.kept or len(flow.readers[memory]) != 1:
        return
    if _legal(flow, found, [*before, place], limit):
        before.append(place)
        group_of[place] = before


def _norm_around(flow: Flow, found: dict[int, Step], place: int) -> list[int]:
    """What leads from a value to a reduction of its rows, and back to where the two meet; empty where it is not so."""
    chain, waiting, index = {place}, [place], place
    if found[place].shape[-1:] != (1,):
        return []
    while len(chain) < MOST_STEPS and found[index].shape[-1:] == (1,):  # rsqrt, epsilon, and the product with the value
        index_next = only_reader(flow, index)
        if index_next is None or index_next not in found or found[index_next].role is not Role.POINTWISE:
            return []
        chain.add(index_next)
        index = index_next
    while waiting:  # squares, casts: made for this chain alone
        for read in found[waiting.pop()].reads:
            maker = flow.maker.get(read.memory)
            if maker is None or maker in chain or maker not in found or found[maker].role is not Role.POINTWISE:
                continue
            if set(flow.readers[read.memory]) <= chain and len(chain) < MOST_STEPS:
                chain.add(maker)
                waiting.append(maker)
    return sorted(chain)


def _join_parallel(flow: Flow, found: dict[int, Step], group_of: dict[int, list[int]], limit: int | None) -> None:
    """Products of one value with several weights (query, key and value; gate and up) become one unit."""
    for memory in flow.readers:
        readers = [r for r in flow.readers[memory] if r in found and found[r].streamed == memory]
        products = [r for r in readers if found[r].role is Role.CONTRACTION and len(found[r].nodes) == 1]
        for one, other in pairwise(products):
            first, second = group_of[one], group_of[other]
            if first is second or _nodes(found, first) & _nodes(found, second):
                continue
            joined = sorted({*first, *second})
            a, b = _nodes(found, first), _nodes(found, second)
            if not reaches(flow, a, b) and not reaches(flow, b, a) and _legal(flow, found, joined, limit):
                group_of.update(dict.fromkeys(joined, joined))


def _nodes(found: dict[int, Step], group: Sequence[int]) -> set[int]:
    return {index for place in group for index in found[place].nodes}


def _legal(flow: Flow, found: dict[int, Step], group: Sequence[int], limit: int | None) -> bool:
    kernel: Kernel | None = Kernel(flow, limit)
    for place in sorted(group):
        kernel = kernel.with_step(found[place]) if kernel else None
    return kernel is not None
