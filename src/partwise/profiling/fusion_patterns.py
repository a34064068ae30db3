"""Greedy fusion by known patterns, and the two chains that are one kernel wherever they stand.

Attention as a whole: product, scale, mask, softmax, product. Norm chains: a reduction of rows and what it scales.
Source of the boundaries (fork, join, resource limit): seed 004, "Greedy Sequential Fusion".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_kernel import Kernel
from partwise.profiling.fusion_order import reaches
from partwise.profiling.fusion_steps import Role, Step

__all__ = ["merge_attention", "pattern_groups"]

_MOST = 32
"""Steps of an attention or a norm chain; the longest seen has 12."""
Groups = list[list[int]]


def merge_attention(flow: Flow, found: dict[int, Step]) -> dict[int, Step]:
    """The steps, each attention chain as one, under the index of its last node."""
    merged = dict(found)
    for index in flow.working:
        step = found[index]
        if step.role is Role.ROW and (chain := _attention_around(flow, merged, index)):
            merged = _merge(merged, chain)
    return merged


def _merge(found: dict[int, Step], chain: list[int]) -> dict[int, Step]:
    first, last = found[chain[0]], found[chain[-1]]
    made = {index for index in chain}
    whole = replace(
        last,
        nodes=tuple(sorted(index for place in chain for index in found[place].nodes)),
        streamed=first.streamed,
        reads=tuple(dict.fromkeys(read for index in chain for read in found[index].reads)),
    )
    return {index: step for index, step in found.items() if index not in made} | {chain[-1]: whole}


def _attention_around(flow: Flow, found: dict[int, Step], softmax: int) -> list[int] | None:
    """Product, pointwise steps, this softmax, pointwise steps, product; None where it is not so."""
    before, after = _walk(flow, found, softmax, back=True), _walk(flow, found, softmax, back=False)
    if not before or not after:
        return None
    chain = sorted({*before, softmax, *after})
    inside = {index for place in chain for index in found[place].nodes}
    made = {name for index in inside for name in flow.made[index]}
    leaving = [m for index in inside - set(found[after[-1]].nodes) for m in flow.made[index] if flow.leaves(m, inside)]
    if leaving or found[before[-1]].streamed in made or len(flow.graph.nodes[after[-1]].inputs) != 2:
        return None
    return chain


def _walk(flow: Flow, found: dict[int, Step], index: int, *, back: bool) -> list[int]:
    """Pointwise steps from a softmax to the next product, that included; empty where there is none."""
    path = list[int]()
    while len(path) < _MOST:
        step = _previous(flow, found, index) if back else _next(flow, found, index)
        if step is None or step not in found:
            return []
        path.append(step)
        here = found[step]
        if here.role is Role.CONTRACTION:
            streams = back or here.streamed in flow.made[index]
            return path if streams and len(here.nodes) == 1 and not here.pixels else []
        if here.role is not Role.POINTWISE or here.shape != found[index].shape:
            return []
        index = step
    return []


def _previous(flow: Flow, found: dict[int, Step], index: int) -> int | None:
    """The maker of the one argument that has this step's shape and is no view of something else."""
    makers = [
        flow.maker[read.memory]
        for read in found[index].reads
        if not read.moved and read.shape == found[index].shape and read.memory in flow.maker
    ]
    return makers[0] if len(makers) == 1 or (makers and len(set(makers)) == 1) else None


def _next(flow: Flow, found: dict[int, Step], index: int) -> int | None:
    readers = {reader for name in flow.made[index] for reader in flow.readers.get(name, ())}
    return readers.pop() if len(readers) == 1 else None


def pattern_groups(flow: Flow, found: dict[int, Step], limit: int | None) -> Groups:
    """Groups of places in `found`: norm chains, then chains over single readers, then parallel products."""
    group_of = {place: [place] for place in found}
    for place, step in sorted(found.items()):
        if step.role is Role.ROW and (chain := _norm_around(flow, found, place)) and _legal(flow, found, chain, limit):
            if all(len(group_of[member]) == 1 for member in chain):
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


def _norm_around(flow: Flow, found: dict[int, Step], place: int) -> list[int] | None:
    """What leads from a value to a reduction of its rows, and back to where the two meet."""
    chain, waiting, index = {place}, [place], place
    if found[place].shape[-1:] != (1,):
        return None
    while len(chain) < _MOST and found[index].shape[-1:] == (1,):  # rsqrt, epsilon, and the product with the value
        index_next = _next(flow, found, index)
        if index_next is None or index_next not in found or found[index_next].role is not Role.POINTWISE:
            return None
        chain.add(index_next)
        index = index_next
    while waiting:  # squares, casts: made for this chain alone
        for read in found[waiting.pop()].reads:
            maker = flow.maker.get(read.memory)
            if maker is None or maker in chain or maker not in found or found[maker].role is not Role.POINTWISE:
                continue
            if set(flow.readers[read.memory]) <= chain and len(chain) < _MOST:
                chain.add(maker)
                waiting.append(maker)
    return sorted(chain)


def _join_parallel(flow: Flow, found: dict[int, Step], group_of: dict[int, list[int]], limit: int | None) -> None:
    """Products of one value with several weights (query, key and value; gate and up) become one unit."""
    for memory in flow.readers:
        readers = [r for r in flow.readers[memory] if r in found and found[r].streamed == memory]
        products = [r for r in readers if found[r].role is Role.CONTRACTION and len(found[r].nodes) == 1]
        for one, other in zip(products, products[1:], strict=False):
            first, second = group_of[one], group_of[other]
            if first is second or _nodes(found, first) & _nodes(found, second):
                continue
            joined = sorted({*first, *second})
            apart = not reaches(flow, _nodes(found, first), _nodes(found, second))
            if apart and not reaches(flow, _nodes(found, second), _nodes(found, first)):
                if _legal(flow, found, joined, limit):
                    group_of.update(dict.fromkeys(joined, joined))


def _nodes(found: dict[int, Step], group: Sequence[int]) -> set[int]:
    return {index for place in group for index in found[place].nodes}


def _legal(flow: Flow, found: dict[int, Step], group: Sequence[int], limit: int | None) -> bool:
    kernel: Kernel | None = Kernel(flow, limit)
    for place in sorted(group):
        kernel = kernel.with_step(found[place]) if kernel else None
    return kernel is not None
