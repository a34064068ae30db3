"""Which placed nodes must stay together, and the units of choice that this leaves.

State binds nodes: whoever reads a mutated tensor and whoever makes its next value; of a buffer written in place (K/V)
whoever uses what was written, too; so do constraints. (A value
that no cut can carry binds nobody: the contraction repeats its makers.) Everything on a path between two bound nodes is
bound too, since a stage that was left and entered again would not be one step of a pipeline: units are the strongly
connected components of the graph in which bound nodes are joined in a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from partwise.ir import Contraction, Kind, operator

__all__ = ["components", "merged", "state_groups", "units"]

Edges = dict[int, list[int]]


def units(contraction: Contraction, others: Iterable[Sequence[int]] = ()) -> tuple[tuple[int, ...], ...]:
    """Sets of placed nodes that share a stage in every plan, each ascending, ordered by their first node.

    Args:
        contraction: the graph seen through its placed nodes.
        others: placed nodes that share a stage for another reason than a state.
    """
    placed = contraction.placed
    groups = [group for group in (*state_groups(contraction), *others) if len(group) > 1]
    if not groups:
        return tuple((index,) for index in placed)
    makers, reads = _makers(contraction), contraction.closures
    after: Edges = {index: [] for index in placed}
    for index in placed:
        for name in sorted(reads[index].received):
            if name in makers:
                after[makers[name]].append(index)
    for group in groups:
        for index, following in zip(group, [*group[1:], group[0]], strict=True):
            after[index].append(following)
    return tuple(sorted(tuple(sorted(component)) for component in components(placed, after)))


def _makers(contraction: Contraction) -> dict[str, int]:
    graph = contraction.graph
    return {name: index for index in contraction.placed for name in graph.nodes[index].outputs}


def merged(*several: Iterable[Sequence[int]]) -> dict[int, int]:
    """For each node in some group its class: groups that overlap, directly or over others, are one. By least node."""
    after: Edges = {}
    for group in (group for groups in several for group in groups):
        for one, other in zip(group, [*group[1:], *group[:1]], strict=True):
            after.setdefault(one, []).append(other)
    return {node: min(part) for part in components(sorted(after), after) for node in part}


def state_groups(contraction: Contraction) -> Iterable[list[int]]:
    """The placed nodes that each state binds."""
    mutations = contraction.graph.mutations
    if not mutations:
        return
    makers, reads, buffers = _makers(contraction), contraction.closures, set(contraction.graph.writes.values())
    readers: dict[str, list[int]] = {mutation.target: [] for mutation in mutations}
    for index, closure in reads.items():
        for name in closure.received | (closure.weights & readers.keys()):
            readers.setdefault(name, []).append(index)
    for mutation in mutations:
        written = contraction.of(mutation.tensor).received
        writers = [makers[name] for name in sorted(written) if name in makers]
        users = _users(contraction, writers, readers) if mutation.target in buffers else []
        yield list(dict.fromkeys([*writers, *readers[mutation.target], *users]))


def _users(contraction: Contraction, writers: Iterable[int], readers: Mapping[str, list[int]]) -> list[int]:
    """The placed nodes that use what these nodes make, over copies of it: a copy would cross as large as the state."""
    nodes, found, waiting = contraction.graph.nodes, dict[int, None](), list(writers)
    while waiting:
        users = [
            index for name in nodes[waiting.pop()].outputs for index in readers.get(name, ()) if index not in found
        ]
        found.update(dict.fromkeys(users))
        waiting += [index for index in users if operator(nodes[index].op).kind is Kind.MOVEMENT]
    return list(found)


def components(nodes: Sequence[int], after: Edges) -> Iterable[list[int]]:
    """Strongly connected components. Source: Kosaraju's algorithm, as in Sharir, 1981."""
    before: Edges = {node: [] for node in nodes}
    for node, following in after.items():
        for other in following:
            before[other].append(node)
    seen: set[int] = set()
    finished = [node for root in nodes for node in _finish(root, after, seen)]
    seen = set()
    for root in reversed(finished):
        if component := _finish(root, before, seen):
            yield component


def _finish(root: int, edges: Edges, seen: set[int]) -> list[int]:
    """Unseen nodes reachable from a root, in the order in which a depth-first search leaves them."""
    if root in seen:
        return []
    seen.add(root)
    path, finished = [(root, iter(edges[root]))], list[int]()
    while path:
        node, rest = path[-1]
        following = next((other for other in rest if other not in seen), None)
        if following is None:
            finished.append(node)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges[following])))
    return finished
