"""Steps that are one kernel wherever they stand: attention as a whole, and pointwise steps behind their maker.

Attention: product, scale, mask, softmax, product. No scores reach memory, nor do whole rows of them need to exist.
A pointwise step that reads one made value, is its only reader and makes nothing larger belongs to the value's maker:
in any fusion it can be moved there without adding traffic.
"""

from __future__ import annotations

from dataclasses import replace

from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_steps import Role, Step

__all__ = ["MOST_STEPS", "only_reader", "with_attention", "with_epilogues"]

MOST_STEPS = 32
"""Steps of an attention or a norm chain; the longest seen has 12."""


def with_epilogues(flow: Flow, found: dict[int, Step]) -> dict[int, Step]:
    """The steps, each with the pointwise ones that belong to it behind it."""
    bundles, home = dict(found), dict[int, int]()
    for place in sorted(found):
        maker = _maker(flow, found[place])
        front = None if maker is None else home.get(maker, maker)
        if front is not None and front in bundles and bundles[front].role is not Role.OPAQUE:
            bundles[front] = replace(bundles[front], then=(*bundles[front].then, bundles.pop(place)))
            home[place] = front
    return bundles


def _maker(flow: Flow, step: Step) -> int | None:
    """The last node of the step that a pointwise one belongs to; None where it belongs to none."""
    if step.role is not Role.POINTWISE or len(step.reads) != 1 or step.reads[0].moved:
        return None
    memory = step.reads[0].memory
    maker = flow.maker.get(memory)
    if maker is None or memory in flow.kept or only_reader(flow, maker) != step.nodes[0]:
        return None
    made = sum(flow.size[name] for name in flow.made[step.nodes[0]])
    return maker if made <= flow.size[memory] else None


def with_attention(flow: Flow, found: dict[int, Step]) -> dict[int, Step]:
    """The steps, each attention chain as one, under the index of its last node."""
    merged = dict(found)
    for index in flow.working:
        step = found[index]
        if step.role is Role.ROW and (chain := _attention_around(flow, merged, index)):
            merged = _merge(merged, chain)
    return merged


def _merge(found: dict[int, Step], chain: list[int]) -> dict[int, Step]:
    first, last = found[chain[0]], found[chain[-1]]
    gone = set(chain)
    whole = replace(
        last,
        nodes=tuple(sorted(index for place in chain for index in found[place].nodes)),
        streamed=first.streamed,
        reads=tuple(dict.fromkeys(read for index in chain for read in found[index].reads)),
    )
    return {index: step for index, step in found.items() if index not in gone} | {chain[-1]: whole}


def _attention_around(flow: Flow, found: dict[int, Step], softmax: int) -> list[int] | None:
    """Product, pointwise steps, this softmax, pointwise steps, product; None where it is not so."""
    before, after = _back(flow, found, softmax, MOST_STEPS), _forth(flow, found, softmax)
    if not before or not after or len(flow.graph.nodes[after[-1]].inputs) != 2:
        return None
    chain = sorted({*before, softmax, *after})
    inside = {index for place in chain for index in found[place].nodes}
    made = {name for index in inside for name in flow.made[index]}
    leaving = [m for index in inside - set(found[after[-1]].nodes) for m in flow.made[index] if flow.leaves(m, inside)]
    return None if leaving or found[before[-1]].streamed in made else chain


def _back(flow: Flow, found: dict[int, Step], index: int, most: int) -> list[int]:
    """Pointwise steps from a softmax back to the product of its scores, that included; empty without one."""
    for maker in _makers(flow, found, index) if most else ():
        here = found[maker]
        if here.role is Role.CONTRACTION:
            if len(here.nodes) == 1 and not here.pixels:
                return [maker]
        elif here.role is Role.POINTWISE and (rest := _back(flow, found, maker, most - 1)):
            return [maker, *rest]
    return []


def _makers(flow: Flow, found: dict[int, Step], index: int) -> list[int]:
    """Makers of the arguments that have this step's shape and are no views of something else."""
    return [
        flow.maker[read.memory]
        for read in found[index].reads
        if not read.moved
        and read.shape == found[index].shape
        and flow.maker.get(read.memory, -1) in found
        and found[flow.maker[read.memory]].shape == read.shape
        and only_reader(flow, flow.maker[read.memory]) == index
    ]


def _forth(flow: Flow, found: dict[int, Step], index: int) -> list[int]:
    """Pointwise steps from a softmax to the product with the values, that included; empty without one."""
    path = list[int]()
    while len(path) < MOST_STEPS:
        step = only_reader(flow, index)
        if step is None or step not in found:
            return []
        path.append(step)
        here = found[step]
        if here.role is Role.CONTRACTION:
            return path if here.streamed in flow.made[index] and len(here.nodes) == 1 and not here.pixels else []
        if here.role is not Role.POINTWISE or here.shape != found[index].shape:
            return []
        index = step
    return []


def only_reader(flow: Flow, index: int) -> int | None:
    """The one node that reads anything of what a node makes."""
    readers = {reader for name in flow.made[index] for reader in flow.readers.get(name, ())}
    return readers.pop() if len(readers) == 1 else None
