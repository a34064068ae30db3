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
from partwise.planning.price import price_per_second
from partwise.planning.problem import Floats, Problem
from partwise.planning.rates import RateTable
from partwise.planning.records import Objective

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
    amounts: Callable[[RateTable, Floats, Member, Link], Amounts]
    """From costs, bytes of each tensor, a device and its fastest link."""


def _messages(size: Floats, link: Link) -> Floats:
    return link.latency_s + size / link.bytes_per_s


def _compute(
    rates: RateTable, member: Member, rate: float = 1.0, receive: Floats | None = None, send: Floats | None = None
) -> Amounts:
    """Seconds of nodes and of cuts inside fused units, times a rate."""
    found = rates.of(member.name)
    nodes, cut = rate * np.array(found.seconds), rate * np.array(found.cut_seconds)
    return Amounts(nodes=nodes, cut=cut, receive=receive, send=send)


def _stages(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    del rates, size, member, link
    return Amounts(fixed=1.0)


def _traffic(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    del rates, member, link
    return Amounts(receive=size)


def _balance(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    del size, link
    return _compute(rates, member)


def _balance_memory(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    """Nothing: a peak is no sum over nodes; `least_memory` limits it instead."""
    del rates, size, member, link
    return Amounts()


def _throughput(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    seconds = _messages(size, link)
    return _compute(rates, member, receive=seconds, send=seconds)


def _latency(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    return _compute(rates, member, receive=_messages(size, link))


def _energy(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    del size, link
    return Amounts(nodes=np.array(rates.joules(member.name)), cut=np.array(rates.of(member.name).cut_joules or ()))


def _cost(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    rate, seconds = price_per_second(member), _messages(size, link)
    return _compute(rates, member, rate, receive=rate * seconds)


def _proof(rates: RateTable, size: Floats, member: Member, link: Link) -> Amounts:
    del size, member, link
    return Amounts(nodes=np.array([float(cost.macs) for cost in rates.profile.nodes]))


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
    return GOALS[objective].amounts(problem.rates, problem.tensor_bytes.astype(np.float64), member, link)
