"""What each objective makes of a stage: a table, one row an objective.

A goal is a price that every stage pays on its device, and whether the prices add up or the largest one counts.
The evaluator (`price.measure`) knows nothing of this table: it measures a finished plan in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from partwise.hardware import Link, Member
from partwise.planning.arrays import Floats
from partwise.planning.price import price_per_second
from partwise.planning.problem import Problem
from partwise.planning.records import Objective
from partwise.profiling import node_proof_seconds, proof_line

__all__ = ["GOALS", "Amounts", "Goal", "Join", "amounts_of"]


class Join(StrEnum):
    """How the prices of the stages make one value."""

    LARGEST = "largest"
    SUM = "sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a stage pays on one device, before it is laid out over units; None is nothing."""

    nodes: Floats | None = None
    """[nodes] For each node that it runs, repeated ones included."""
    receive: Floats | None = None
    """[tensors] For each value that it receives from another stage."""
    send: Floats | None = None
    """[tensors] For each value that it sends to others."""
    cut: Floats | None = None
    """[fused units] For each of which it holds some nodes without the first."""
    fixed: float = 0.0
    """Once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One row of the table."""

    join: Join
    amounts: Callable[[Problem, Member, Link], Amounts]
    """From a problem, a device and its fastest link."""


def _bytes(problem: Problem) -> Floats:
    return problem.tensor_bytes.astype(np.float64)


def _messages(size: Floats, link: Link) -> Floats:
    return link.latency_s + size / link.bytes_per_s


def _compute(
    problem: Problem, member: Member, rate: float = 1.0, receive: Floats | None = None, send: Floats | None = None
) -> Amounts:
    """Seconds of nodes and of cuts inside fused units, times a rate."""
    found = problem.rates.of(member.name)
    nodes, cut = rate * np.array(found.seconds), rate * np.array(found.cut_seconds)
    return Amounts(nodes=nodes, cut=cut, receive=receive, send=send)


def _stages(problem: Problem, member: Member, link: Link) -> Amounts:
    del problem, member, link
    return Amounts(fixed=1.0)


def _traffic(problem: Problem, member: Member, link: Link) -> Amounts:
    del member, link
    return Amounts(receive=_bytes(problem))


def _balance(problem: Problem, member: Member, link: Link) -> Amounts:
    del link
    return _compute(problem, member)


def _balance_memory(problem: Problem, member: Member, link: Link) -> Amounts:
    """Nothing: a peak is no sum over nodes; `least_memory` limits it instead."""
    del problem, member, link
    return Amounts()


def _throughput(problem: Problem, member: Member, link: Link) -> Amounts:
    seconds = _messages(_bytes(problem), link)
    return _compute(problem, member, receive=seconds, send=seconds)


def _latency(problem: Problem, member: Member, link: Link) -> Amounts:
    return _compute(problem, member, receive=_messages(_bytes(problem), link))


def _energy(problem: Problem, member: Member, link: Link) -> Amounts:
    del link
    rates = problem.rates
    return Amounts(nodes=np.array(rates.joules(member.name)), cut=np.array(rates.of(member.name).cut_joules or ()))


def _cost(problem: Problem, member: Member, link: Link) -> Amounts:
    rate, seconds = price_per_second(member), _messages(_bytes(problem), link)
    return _compute(problem, member, rate, receive=rate * seconds)


def _proof(problem: Problem, member: Member, link: Link) -> Amounts:
    del member, link
    graph, sizes, line = problem.contraction.graph, problem.rates.profile.sizes, proof_line()
    elements = np.array([tensor.elements(sizes) for tensor in graph.tensors], np.float64)
    nodes = np.array(node_proof_seconds(graph, sizes)) * problem.is_placed
    return Amounts(nodes=nodes, receive=line.given_s * elements, send=line.result_s * elements, fixed=line.circuit_s)


GOALS: dict[Objective, Goal] = {
    Objective.STAGES: Goal(join=Join.SUM, amounts=_stages),
    Objective.DEVICES: Goal(join=Join.SUM, amounts=_stages),
    Objective.TRAFFIC: Goal(join=Join.SUM, amounts=_traffic),
    Objective.BALANCE: Goal(join=Join.LARGEST, amounts=_balance),
    Objective.BALANCE_MEMORY: Goal(join=Join.LARGEST, amounts=_balance_memory),
    Objective.THROUGHPUT: Goal(join=Join.LARGEST, amounts=_throughput),
    Objective.LATENCY: Goal(join=Join.SUM, amounts=_latency),
    Objective.ENERGY: Goal(join=Join.SUM, amounts=_energy),
    Objective.COST: Goal(join=Join.SUM, amounts=_cost),
    Objective.PROOF: Goal(join=Join.LARGEST, amounts=_proof),
}


def amounts_of(problem: Problem, objective: Objective, member: Member) -> Amounts:
    """What a stage pays for an objective on one member of the problem's cluster."""
    link = problem.cluster.fastest(member.name)
    return GOALS[objective].amounts(problem, member, link)
