"""Lower bounds: what no plan can beat, so that a user sees how far from the best a plan can be at most.

All hold for every acyclic partition of the units, in any order, with the limits or without; each is a counting
argument and costs no search. A graph that falls apart into pieces or has many entries weakens some of them.
"""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import numpy as np
from numpy.typing import NDArray

from partwise.planning.arrays import Floats, Ints
from partwise.planning.orders import Flow, flow_of
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Limits, Objective
from partwise.units import number_of

__all__ = ["connected_reads", "find_bound", "unit_working_bytes"]

_ROUNDING = 1e-12  # relative; sums of floats in another order


def find_bound(problem: Problem, limits: Limits, objective: Objective, stages: int | None) -> Bound:
    """The best lower bound known here for the first objective.

    Args:
        problem: the graph as arrays.
        limits: of every stage.
        objective: the first one.
        stages: exactly so many, or None where the plan may choose.
    """
    given, problem = problem, _at_best(problem)
    fewest = _fewest_stages(problem, limits)
    count = stages or int(fewest.value)  # more stages only add traffic
    most = stages or len(problem.units)  # and only take from the largest one's compute
    plans = f"acyclic partitions into {number_of(stages, 'stage')}" if stages else "acyclic partitions"
    match objective:
        case Objective.STAGES | Objective.DEVICES if stages:
            return Bound(value=stages, origin="the number asked for", plans=plans)
        case Objective.STAGES | Objective.DEVICES:
            found = fewest
        case Objective.TRAFFIC:
            found = _traffic(problem, count)
        case Objective.BALANCE:
            found = _balance(given, problem, most)
        case Objective.LATENCY if problem.cluster.is_open:
            value = _compute_share(problem, 1)
            found = Bound(value=value, origin="all compute, one stage after the other", plans="")
        case Objective.THROUGHPUT:
            found = _throughput(given, problem, most, count)
        case _:
            found = Bound(value=0, origin="none known", plans="")
    return replace(found, plans=plans)


def _at_best(problem: Problem) -> Problem:
    """The same on devices each of which takes as long for a node, and for a message, as the quickest of all does."""
    names = [member.name for member in problem.cluster.members]
    if problem.cluster.is_uniform or len(names) < 2:
        return problem
    seconds = np.min([problem.rates.of(name).seconds for name in names], axis=0)
    links = [problem.cluster.fastest(name) for name in names]
    quickest = replace(problem.link, latency_s=min(link.latency_s for link in links),
                       bytes_per_s=max(link.bytes_per_s for link in links))  # fmt: skip
    return replace(problem, seconds=problem.unit_sums(seconds), node_seconds=seconds, link=quickest)


def unit_working_bytes(problem: Problem) -> Ints:
    """For each unit activations that are alive at once in any stage that holds it: a node's inputs and outputs."""
    size, starts = problem.tensor_bytes, problem.node_inputs.starts
    needed = np.zeros(len(starts) - 1, np.int64)
    for rows in (problem.node_inputs, problem.node_outputs):
        np.add.at(needed, np.repeat(np.arange(len(needed)), np.diff(rows.starts)), size[rows.items])
    placed, found = list(problem.contraction.placed), np.zeros(len(problem.units), np.int64)
    np.maximum.at(found, problem.home[placed], needed[placed])
    return found


def _fewest_stages(problem: Problem, limits: Limits) -> Bound:
    found = [Bound(value=1, origin="one stage at least", plans="")]
    if limits.memory_bytes is not None:
        room = limits.memory_bytes - problem.overhead_bytes - int(unit_working_bytes(problem).min())
        count = fewest_bins(_indivisible(problem, problem.weight_bytes), room)
        found.append(Bound(value=count, origin="weights packed into memory less the least activations", plans=""))
    if limits.max_parameters is not None:
        count = fewest_bins(_indivisible(problem, problem.parameters), limits.max_parameters)
        found.append(Bound(value=count, origin="parameters packed into the limit", plans=""))
    if limits.max_layers is not None:
        count = fewest_bins(np.sort(problem.layers), limits.max_layers)
        found.append(Bound(value=count, origin="layers packed into the limit", plans=""))
    return max(found, key=lambda bound: bound.value)


def _indivisible(problem: Problem, size: Ints) -> Ints:
    """Amounts that lie whole in some stage: each unit's own weights together, each shared weight alone; ascending."""
    unit, item = problem.holds.unit, problem.holds.item
    shared = np.bincount(item, minlength=len(size)) > 1
    own = ~shared[item]
    amounts = np.zeros(len(problem.units), np.int64)
    np.add.at(amounts, unit[own], size[item[own]])
    return np.sort(np.concatenate((amounts, size[shared])))


def fewest_bins(items: Ints, room: int) -> int:
    """Bins of this room that ascending items need at least; 1 where an item has no room at all.

    Source: bound L2 of Martello and Toth, "Lower bounds and reduction procedures for the bin packing problem",
    Discrete Applied Mathematics 28, 1990; its threshold 0 is the ceiling of sum / room.
    """
    if room <= 0 or items[-1] > room:
        return 1
    before = np.concatenate(([0], np.cumsum(items)))
    half = int(np.searchsorted(items, room // 2, "right"))
    thresholds = np.unique(np.concatenate(([0], items[:half])))
    low = np.searchsorted(items, thresholds)
    high = np.maximum(np.searchsorted(items, room - thresholds, "right"), half)
    spare = (high - half) * room - (before[high] - before[half])
    extra = np.maximum(0, -((spare - (before[half] - before[low])) // room))
    return max(1, int((len(items) - half + extra).max()))


def _balance(given: Problem, problem: Problem, count: int) -> Bound:
    """The most of three counts; `problem` is the given one where all devices are as quick as the quickest."""
    found = [
        (_compute_share(problem, count), "all compute / stages"),
        (_by_speed(given, count), "all compute, shared out by the devices' speed"),
        (float(_unit_seconds(problem).max()), "the largest unit"),
    ]
    value, origin = max(found, key=lambda pair: pair[0])
    return Bound(value=value, origin=origin, plans="")


def _by_speed(problem: Problem, count: int) -> float:
    """Seconds in which so many of the quickest devices, if they differ, do all compute.

    A node counts as the least share of all compute that it is on any of them. In a second a device does 1 / its time
    for all of it; of what counts so, no more.
    """
    cluster = problem.cluster
    if cluster.is_uniform or cluster.is_open:
        return 0.0
    nodes = np.unique(problem.runs.item)
    seconds = np.array([problem.rates.of(member.name).seconds for member in cluster.members])[:, nodes]
    whole = seconds.sum(axis=1)
    if not whole.min():
        return 0.0
    shares = (seconds / whole[:, None]).min(axis=0)
    return float(shares.sum() / np.sort(1 / whole)[-count:].sum()) * (1 - _ROUNDING)


def _throughput(given: Problem, problem: Problem, most: int, count: int) -> Bound:
    compute = _balance(given, problem, most)
    values = problem.reads.item[_crossing(problem)]
    if count < 2 or not len(values) or _pieces(flow_of(problem)) > 1:
        return compute
    least = float(problem.transfer_seconds[values].min())
    return replace(compute, value=compute.value + least, origin=f"{compute.origin} + the smallest transfer")


def _compute_share(problem: Problem, count: int) -> float:
    repeated = np.setdiff1d(problem.runs.item, np.array(problem.contraction.placed))
    return fsum([*problem.seconds.tolist(), *problem.node_seconds[repeated].tolist()]) / count


def _unit_seconds(problem: Problem) -> Floats:
    """Compute of a stage that holds one unit alone."""
    found = np.zeros(len(problem.units))
    np.add.at(found, problem.runs.unit, problem.node_seconds[problem.runs.item])
    return found


def _traffic(problem: Problem, count: int) -> Bound:
    """The most of three counts, for stages that are not the only one.

    A stage without an entry of the graph has a first unit whose values all come from outside; one without an
    exit has a last unit whose values all go outside; and the stages of a connected graph are connected.
    """
    crossing = _crossing(problem)
    unit, value = problem.reads.unit[crossing], problem.reads.item[crossing]
    if count < 2 or not len(value):
        return Bound(value=0, origin="nothing need cross", plans="")
    received, sent = np.zeros(len(problem.units)), np.zeros(len(problem.units))
    np.add.at(received, unit, problem.tensor_bytes[value])
    values = np.unique(value)
    np.add.at(sent, problem.maker[values], problem.tensor_bytes[values])
    reads, writes = (np.isin(np.arange(len(problem.units)), units) for units in (unit, problem.maker[values]))
    pairs = max(0, count - _pieces(flow_of(problem))) * float(problem.tensor_bytes[values].min())
    found = [
        (_least(received, reads, count), "what stages without an entry receive at least"),
        (_least(sent, writes, count), "what stages without an exit send at least"),
        (pairs, "the smallest value for each further stage"),
    ]
    value_found, origin = max(found, key=lambda pair: pair[0])
    return Bound(value=value_found, origin=origin, plans="")


def _least(amount: Floats, counted: NDArray[np.bool_], stages: int) -> float:
    """Sum of the smallest amounts of so many units as there must be stages without one that does not count."""
    free = int(np.count_nonzero(~counted))
    return float(np.sort(amount[counted])[: max(0, stages - free)].sum())


def connected_reads(problem: Problem) -> Ints:
    """Values that some other unit than their maker reads; none where the graph falls apart into pieces."""
    return problem.reads.item[_crossing(problem)] if _pieces(flow_of(problem)) == 1 else np.zeros(0, np.int64)


def _crossing(problem: Problem) -> Ints:
    """Which reads take a value of another unit."""
    maker = problem.maker[problem.reads.item]
    return np.flatnonzero((maker >= 0) & (maker != problem.reads.unit))


def _pieces(flow: Flow) -> int:
    """Number of connected pieces of the graph, direction aside."""
    seen, pieces = [False] * len(flow.before), 0
    for root in range(len(seen)):
        pieces += not seen[root]
        waiting = [] if seen[root] else [root]
        while waiting:
            unit = waiting.pop()
            if not seen[unit]:
                seen[unit] = True
                waiting.extend((*flow.before[unit], *flow.after[unit]))
    return pieces
