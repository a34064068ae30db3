"""Which of several equal devices each stage gets, where their links differ."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.hardware import Member
from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.records import Cut, Objective, Stage

__all__ = ["assign"]


def assign(
    evaluator: Evaluator,
    assignment: Assignment,
    groups: Sequence[Sequence[Member]],
    objectives: Sequence[Objective],
) -> tuple[str, ...]:
    """A member for each stage.

    Args:
        evaluator: prices them.
        assignment: nodes of each stage.
        groups: for each stage the equal members that it may run on.
        objectives: what is made small, by exchanging members as long as that helps.
    """
    if evaluator.cluster.is_open:
        return tuple(group[0].name for group in groups)
    free = {id(group): [member.name for member in group][::-1] for group in groups}
    names = [free[id(group)].pop() for group in groups]
    if evaluator.cluster.has_one_link:
        return tuple(names)
    stages, cuts = evaluator.price(assignment, names)
    return _exchange(evaluator, (stages, cuts), names, groups, objectives)


def _exchange(
    evaluator: Evaluator,
    priced: tuple[tuple[Stage, ...], tuple[Cut, ...]],
    names: list[str],
    groups: Sequence[Sequence[Member]],
    objectives: Sequence[Objective],
) -> tuple[str, ...]:
    """Give a stage another member of its group, free or another stage's, while that makes the values smaller."""
    stages, cuts = priced
    best = evaluator.measured(stages, cuts, objectives)
    improved = True
    while improved:
        improved = False
        for stage, group in enumerate(groups):
            for member in group:
                trial = _swapped(names, stage, member.name)
                values = evaluator.measured(evaluator.moved(stages, trial), cuts, objectives)
                if values < best:
                    best, names, improved = values, trial, True
    return tuple(names)


def _swapped(names: Sequence[str], stage: int, name: str) -> list[str]:
    trial = [names[stage] if other == name else other for other in names]
    trial[stage] = name
    return trial
