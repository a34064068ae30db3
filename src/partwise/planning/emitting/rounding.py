"""Round a plan to what a target can express.

A plan that the target can express stays as it is. Otherwise the solver that proves (`ideals`) divides the sequence
of atoms anew: its answer is the best one among contiguous runs of atoms. Atoms tied to an earlier one (a head that
shares the embedding's weight) are solved as if they were part of it, without what they receive; the evaluator, whose
value is the one reported, counts that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

import numpy as np

from partwise.errors import InfeasibleError
from partwise.planning.arrays import Ints, Pairs
from partwise.planning.assign_devices import assign
from partwise.planning.build_instance import build, types_of
from partwise.planning.demand import Demand, Solution, Solver
from partwise.planning.emitting.records import Atom, Grain, Placed
from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.ideals import Placed as PlacedUnits
from partwise.planning.ideals import solve_ideals
from partwise.planning.pools import solve_in_pools
from partwise.planning.problem import Problem, formulate
from partwise.planning.records import Objective, Plan
from partwise.planning.terms import USUAL

__all__ = ["round_plan"]

_COUNTS = (Objective.STAGES, Objective.DEVICES)
_MORE_STAGES = 8  # tried beyond the plan's, where coarser stages no longer fit


def round_plan(plan: Plan, grain: Grain, evaluator: Evaluator, target: str) -> Placed:
    """The plan itself if the target can express it, else the best division of the atoms.

    Raises:
        InfeasibleError: none keeps the plan's limits.
    """
    if (kept := _as_planned(plan, grain)) is not None:
        return kept
    line = _Line(plan, grain, evaluator)
    answers = (line.divide(stages) for stages in _stage_counts(plan, len(line.groups)))
    found = next((answer for answer in answers if answer is not None), None)
    if found is None:
        raise InfeasibleError(
            f"--emit {target}",
            f"none of the divisions of its {len(line.groups)} inseparable parts keeps the limits",
            hint="allow fewer stages (--stages) or more memory.",
        )
    return found


def _as_planned(plan: Plan, grain: Grain) -> Placed | None:
    """The plan's division, if each atom lies in one stage, in their order, and ties are kept."""
    home = {node: stage.index for stage in plan.stages for node in stage.nodes}
    homes = [{home[node] for node in atom.nodes} for atom in grain.atoms]
    stages = [min(found) for found in homes]
    is_split = any(len(found) > 1 for found in homes) or any(len({stages[a] for a in tie}) > 1 for tie in grain.ties)
    if is_split or stages != sorted(stages):
        return None
    groups = [tuple(atom for atom, stage in enumerate(stages) if stage == s.index) for s in plan.stages]
    return _placed(grain.atoms, groups, [stage.device for stage in plan.stages])


def _stage_counts(plan: Plan, most: int) -> Iterator[int | None]:
    """How many stages to ask for: None is as many as the devices allow, or fewer."""
    asked = plan.limits.stages
    is_counted = plan.levels[0].objective in _COUNTS
    if asked is not None or (plan.cluster.is_open and not is_counted):
        yield asked or min(len(plan.stages), most)
    elif is_counted:
        room = most if plan.cluster.is_open else len(plan.cluster.members)
        yield from takewhile(lambda stages: stages <= room, (len(plan.stages) + i for i in range(_MORE_STAGES)))
    else:
        yield None


def _placed(atoms: Sequence[Atom], groups: Sequence[tuple[int, ...]], devices: Sequence[str]) -> Placed:
    nodes = tuple(tuple(sorted(node for atom in group for node in atoms[atom].nodes)) for group in groups)
    return Placed(groups=tuple(groups), nodes=nodes, devices=tuple(devices))


class _Line:
    """The atoms as one chain of units.

    Attributes:
        groups: for each unit of the chain its atoms.
    """

    def __init__(self, plan: Plan, grain: Grain, evaluator: Evaluator) -> None:
        self._plan, self._grain, self._evaluator = plan, grain, evaluator
        problem = formulate(evaluator.contraction, evaluator.rates)
        home = {node: number for number, atom in enumerate(grain.atoms) for node in atom.nodes}
        spans = [[home[node] for node in unit] for unit in problem.units]
        self.groups = _groups(grain, spans)
        place = {atom: number for number, group in enumerate(self.groups) for atom in group}
        apart = {atom for group in self.groups for atom in _apart(group)}
        unit_of = np.array([place[min(span)] for span in spans], np.int64)
        dropped = [unit for unit, span in enumerate(spans) if min(span) in apart]
        self._problem = _coarse(problem, unit_of, len(self.groups), dropped)

    def divide(self, stages: int | None) -> Placed | None:
        """The best division into so many stages; None: there is none."""
        demand = Demand(
            limits=replace(self._plan.limits, stages=stages),
            objectives=tuple(level.objective for level in self._plan.levels),
            effort=USUAL.effort,
            seed=0,
            evaluator=self._evaluator,
        )
        pools = self._problem.cluster.pools
        found = (solve_in_pools if pools else _solve_alone)(self._problem, demand, _solve_chain)
        if found is None:
            return None
        stage = {node: number for number, nodes in enumerate(found.assignment) for node in nodes}
        homes = [stage[atom.nodes[0]] for atom in self._grain.atoms]
        groups = [tuple(a for a, home in enumerate(homes) if home == number) for number in range(len(found.assignment))]
        return _placed(self._grain.atoms, groups, found.devices)


def _solve_alone(problem: Problem, demand: Demand, solve: Solver) -> Solution | None:
    return solve(problem, demand)


def _solve_chain(problem: Problem, demand: Demand) -> Solution | None:
    """The division of the units in their order that is best for the first objective that is no count."""
    limits, evaluator, length = demand.limits, demand.evaluator, len(problem.units)
    first = next((o for o in demand.objectives if o not in _COUNTS), Objective.BALANCE)
    types = types_of(problem.cluster, limits.stages or length)
    chain = np.array(list(pairwise(range(length))), np.int64).reshape(-1, 2)
    instance = replace(build(problem, types, limits, first), edges=chain)

    def nodes(found: Sequence[PlacedUnits]) -> Assignment:
        return tuple(tuple(sorted(n for unit in stage.units for n in problem.units[unit])) for stage in found)

    def check(found: Sequence[PlacedUnits]) -> list[int]:
        devices = [types.members[stage.kind][0].name for stage in found]
        return evaluator.overfull(evaluator.price(nodes(found), devices)[0], limits)

    answer = solve_ideals(instance, most=length + 1, check=check)
    if answer is None:
        return None
    assignment, members = nodes(answer.stages), [types.members[stage.kind] for stage in answer.stages]
    devices = assign(evaluator, assignment, members, demand.objectives)
    values = evaluator.values(assignment, devices, demand.objectives)
    return Solution(assignment=assignment, devices=devices, values=values, how="chain")


def _groups(grain: Grain, spans: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Atoms that share a device in every division, each ascending, ordered by their first atom.

    Args:
        grain: atoms and ties.
        spans: for each unit of the planner the atoms of its nodes; what lies between them joins them.
    """
    leader = list(range(len(grain.atoms)))
    bound = [range(min(span), max(span) + 1) for span in spans if min(span) < max(span)]
    for joined in (*bound, *grain.ties):
        merged = {leader[atom] for atom in joined}
        leader = [min(merged) if to in merged else to for to in leader]
    return [tuple(a for a, to in enumerate(leader) if to == first) for first in sorted(set(leader))]


def _apart(group: Sequence[int]) -> list[int]:
    """The atoms of a group that do not directly follow its first run."""
    return [atom for position, atom in enumerate(group) if atom != group[0] + position]


def _coarse(problem: Problem, unit_of: Ints, size: int, dropped: Sequence[int]) -> Problem:
    """The problem with units merged; `dropped` ones receive nothing."""
    kept = ~np.isin(problem.reads.unit, dropped)
    reads = Pairs(problem.reads.unit[kept], problem.reads.item[kept])
    maker = np.where(problem.maker >= 0, unit_of[problem.maker], -1)
    held = [np.flatnonzero(unit_of == number) for number in range(size)]
    return replace(
        problem,
        units=tuple(tuple(sorted(n for unit in units for n in problem.units[unit])) for units in held),
        seconds=np.bincount(unit_of, problem.seconds, size),
        layers=np.bincount(unit_of, problem.layers, size).astype(np.int64),
        maker=maker,
        reads=_merged(reads, unit_of),
        holds=_merged(problem.holds, unit_of),
        runs=_merged(problem.runs, unit_of),
        ends=tuple(replace(e, makers=tuple(sorted({int(unit_of[m]) for m in e.makers}))) for e in problem.ends),
    )


def _merged(pairs: Pairs, unit_of: Ints) -> Pairs:
    both = np.unique(np.stack((unit_of[pairs.unit], pairs.item), axis=1), axis=0)
    return Pairs(both[:, 0], both[:, 1])
