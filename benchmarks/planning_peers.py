"""How others divide a model: each peer gives, for each stage, its placed nodes and the member of the cluster.

None is a peer that has no answer. What a peer does not know (transfers, activations, unequal devices) it does not get.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from partwise.hardware import Cluster, DeviceKind
from partwise.ir import Contraction
from partwise.profiling import Profile, node_seconds

__all__ = ["PEERS", "Answer", "Case"]

Answer = tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model on one cluster."""

    module: Any
    """The model on the meta device."""
    blocks: str
    """A pattern of the paths of its blocks."""
    contraction: Contraction
    profile: Profile
    cluster: Cluster

    @property
    def members(self) -> list[str]:
        """The cluster's devices, its accelerators first, as other tools number them."""
        ranked = sorted(self.cluster.members, key=lambda member: member.device.kind is DeviceKind.CPU)
        return [member.name for member in ranked]

    def memory(self, name: str) -> int:
        """What a device has, its shared memory included [bytes]."""
        member = self.cluster.member(name)
        return self.cluster.pools.get(member.pool, member.memory_bytes or 0)


def greedy(case: Case) -> Answer | None:
    """accelerate: `infer_auto_device_map` with each device's memory."""
    return _by_map(case, _memories(case))


def balanced(case: Case) -> Answer | None:
    """accelerate: the same after `get_balanced_memory`, which is what `device_map="auto"` of transformers does."""
    from accelerate.utils import get_balanced_memory

    kept = getattr(case.module, "_no_split_modules", None)
    return _by_map(case, get_balanced_memory(case.module, _memories(case), no_split_module_classes=kept))


def equal_layers(case: Case) -> Answer | None:
    """As many blocks for each device, what precedes and follows them with the first and the last."""
    graph, first = case.contraction.graph, dict[str, int]()
    for index, node in enumerate(graph.nodes):
        if match := re.search(case.blocks, node.module):
            first.setdefault(match[0], index)
    starts, count = list(first.values()), len(case.members)
    cuts = [starts[len(starts) * stage // count] for stage in range(1, count)]
    return _intervals(case, cuts)


def equal_parameters(case: Case) -> Answer | None:
    """The parameters of each device as equal as the order of nodes allows: own code.

    torch 2.13 has no automatic split of its own left (`torch.distributed.pipelining` takes split points from the user);
    this is the rule of PiPPy's `split_into_equal_size`, which it grew out of.
    """
    graph, seen, sums = case.contraction.graph, set[str](), list[int]()
    for index in case.contraction.placed:
        new = case.contraction.reads(index).weights - seen
        seen |= new
        sums.append(sum(graph.spec[n].elements(case.profile.sizes) for n in new if n in graph.held))
    total, count = np.cumsum(sums), len(case.members)
    cuts = [int(np.searchsorted(total, total[-1] * stage / count)) + 1 for stage in range(1, count)]
    placed = case.contraction.placed
    return _intervals(case, [placed[min(cut, len(placed) - 1)] for cut in cuts])


def pipedream(case: Case) -> Answer | None:
    """PipeDream's dynamic program over a chain, without replication: own code; its needs files of its profiler.

    The smallest max(stage times, transfer times of boundaries) over at most as many stages as devices, which it takes
    for equal: times are those on the first device. Source: Narayanan et al., SOSP 2019, section 3.1.
    """
    placed, cluster = case.contraction.placed, case.cluster
    seconds = np.array(node_seconds(case.profile, cluster.member(case.members[0]).device))[list(placed)]
    work = np.concatenate(([0.0], np.cumsum(seconds)))
    sent = _crossing(case) / cluster.fastest(case.members[0]).bytes_per_s
    best, back = work.copy(), list[Any]()
    answers = [(float(work[-1]), 1)]
    for stages in range(2, len(case.members) + 1):
        cost = np.maximum(np.maximum(best, sent)[:, None], work[None, :] - work[:, None])
        cost[np.tril_indices(len(work))] = np.inf
        back.append(cost.argmin(axis=0))
        best = cost.min(axis=0)
        answers.append((float(best[-1]), stages))
    end, cuts = len(placed), list[int]()
    for choice in back[: min(answers)[1] - 1][::-1]:
        end = int(choice[end])
        cuts.append(placed[end])
    return _intervals(case, cuts[::-1])


PEERS: dict[str, Callable[[Case], Answer | None]] = {
    "accelerate": greedy,
    "accelerate, balanced": balanced,
    "equal layers": equal_layers,
    "equal parameters": equal_parameters,
    "PipeDream": pipedream,
}


def _memories(case: Case) -> dict[int | str, int]:
    kinds = [case.cluster.member(name).device.kind for name in case.members]
    return {
        "cpu" if k is DeviceKind.CPU else i: case.memory(n)
        for i, (k, n) in enumerate(zip(kinds, case.members, strict=True))
    }


def _by_map(case: Case, memories: dict[int | str, int]) -> Answer | None:
    """Nodes by the device of their module; outside of the map's modules, by that of what they read."""
    from accelerate import infer_auto_device_map

    kept = getattr(case.module, "_no_split_modules", None)
    device_map = infer_auto_device_map(case.module, max_memory=dict(memories), no_split_module_classes=kept)
    if "disk" in device_map.values() or ("cpu" in device_map.values() and "cpu" not in memories):
        return None
    names = dict(zip(memories, case.members, strict=True))
    graph, homes = case.contraction.graph, dict[int, str]()
    for index, node in enumerate(graph.nodes):
        parts = node.module.split(".")
        above = (".".join(parts[:length]) for length in range(len(parts), -1, -1))
        key = next((module for module in above if module in device_map), None)
        makers = [graph.producer[name] for name in node.inputs if name in graph.producer]
        homes[index] = names[device_map[key]] if key is not None else homes[max(makers)] if makers else case.members[0]
    stages = {name: tuple(i for i in case.contraction.placed if homes[i] == name) for name in case.members}
    used = sorted((name for name in stages if stages[name]), key=lambda name: stages[name][0])
    return tuple(stages[name] for name in used), tuple(used)


def _intervals(case: Case, cuts: Sequence[int]) -> Answer:
    """Placed nodes between indices of nodes, each interval on the next device; empty ones use none."""
    ends = [0, *cuts, len(case.contraction.graph.nodes)]
    found = [tuple(n for n in case.contraction.placed if i <= n < j) for i, j in pairwise(ends)]
    stages = tuple(nodes for nodes in found if nodes)
    return stages, tuple(case.members[: len(stages)])


def _crossing(case: Case) -> Any:
    """Bytes made before each position of the placed nodes and needed at or after it."""
    placed, spec = case.contraction.placed, case.contraction.graph.spec
    position = {node: place for place, node in enumerate(placed)}
    producer, change = case.contraction.graph.producer, np.zeros(len(placed) + 2)
    last: dict[str, int] = {}
    for place, node in enumerate(placed):
        for name in case.contraction.reads(node).received:
            if name in producer:
                last[name] = place
    for name, place in last.items():
        size = spec[name].bytes(case.profile.sizes)
        change[position[producer[name]] + 1] += size
        change[place + 1] -= size
    return np.cumsum(change)[: len(placed) + 1]
