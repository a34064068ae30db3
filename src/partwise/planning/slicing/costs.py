"""What every stage that ends at a boundary costs, boundary after boundary.

A cost of intervals is a sum of steps "from column j > `at` on, rows i with `low` < i <= `high` pay `amount`":
work is one step a unit; a received value one step for each need, between the previous need and this one; a sent
value one step on at its maker and one off at its last need. A running difference array over the rows turns
the steps into one column of costs at a time, so no table of all intervals is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Floats, Ints
from partwise.planning.goals import amounts_of
from partwise.planning.records import Objective
from partwise.planning.slicing.line import Line

__all__ = ["columns"]


@dataclass(frozen=True, slots=True)
class _Steps:
    at: Ints
    low: Ints
    high: Ints
    amount: Floats


def columns(line: Line, objective: Objective, kept: Ints, first: Ints) -> Iterator[Floats]:
    """For each boundary but the first the costs of the stages that end here, from the longest to the shortest.

    Args:
        line: the problem in one order.
        objective: whose share of one stage is meant: 1, received bytes, compute seconds, or all its seconds.
        kept: the boundaries, ascending.
        first: for each boundary the earliest one at which a stage that ends here may begin; never descending.
    """
    steps = _steps(line, objective)
    column = np.searchsorted(kept, steps.at, "right")
    begin, end = (np.searchsorted(kept, bound, "right") for bound in (steps.low, steps.high))
    useful = np.flatnonzero((begin < end) & (column < len(kept)))
    useful = useful[np.argsort(column[useful], kind="stable")]
    starts = np.searchsorted(column[useful], np.arange(len(kept) + 1)).tolist()
    rows = np.stack([begin[useful], end[useful]], axis=1)
    amounts = np.stack([steps.amount[useful], -steps.amount[useful]], axis=1)
    change, low = np.zeros(len(kept) + 1), 0
    for here, wanted in enumerate(first[1:].tolist(), start=1):
        change[wanted] += change[low:wanted].sum()  # whoever begins before `wanted` is not asked about again
        low, span = wanted, slice(starts[here], starts[here + 1])
        np.add.at(change, np.maximum(rows[span], low).ravel(), amounts[span].ravel())
        yield change[low:here].cumsum()


def _steps(line: Line, objective: Objective) -> _Steps:
    problem = line.problem
    amounts = amounts_of(problem, objective, problem.cluster.members[0])
    parts = [_Steps(np.zeros(1, np.int64), np.full(1, -1), np.full(1, line.length), np.full(1, amounts.fixed))]
    if amounts.nodes is not None:
        parts.append(_nodes(line, amounts.nodes))
    if amounts.receive is not None:
        parts.append(_received(line, amounts.receive))
    if amounts.send is not None:
        parts.append(_sent(line, amounts.send))
    return _join(*parts)


def _nodes(line: Line, amount: Floats) -> _Steps:
    here, runs = np.arange(line.length), line.runs
    again = np.flatnonzero(~line.problem.is_placed[runs.item] & (amount[runs.item] > 0))
    own = _Steps(here, np.full(line.length, -1), here, line.problem.unit_sums(amount)[line.order])
    repeated = _Steps(runs.position[again], runs.previous[again], runs.position[again], amount[runs.item[again]])
    return _join(own, repeated)


def _received(line: Line, amount: Floats) -> _Steps:
    maker = line.maker[line.reads.item]
    crossing = np.flatnonzero((maker >= 0) & (maker < line.reads.position))
    position = line.reads.position[crossing]
    low = np.maximum(line.reads.previous[crossing], maker[crossing])
    return _Steps(position, low, position, amount[line.reads.item[crossing]])


def _sent(line: Line, amount: Floats) -> _Steps:
    values = line.made.item
    maker, cost = line.maker[values], amount[values]
    everyone = np.full(len(values), -1)
    return _join(_Steps(maker, everyone, maker, cost), _Steps(line.last[values], everyone, maker, -cost))


def _join(*parts: _Steps) -> _Steps:
    return _Steps(
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
        np.concatenate([part.amount for part in parts]),
    )
