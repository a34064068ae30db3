"""A front: plans of which none is better than another in everything.

Each number of stages is asked for the best plan of each axis, the others as later levels, and again under memory
limits between the least peak and the largest. What another plan equals or beats in every axis is left out. A front
is what was found: an end of it is proved where its own question was, the plans between are no complete list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from partwise.errors import InfeasibleError, InputError
from partwise.ir import Graph, contract
from partwise.planning.choose_solver import solve
from partwise.planning.demand import Demand, Solution
from partwise.planning.plan import check_arguments
from partwise.planning.problem import Problem, formulate
from partwise.planning.records import Limits, Objective, Stage
from partwise.planning.terms import USUAL, Terms
from partwise.profiling import Profile
from partwise.units import number_of

__all__ = ["AXES", "Front", "FrontPoint", "pareto"]

AXES = {"memory": Objective.BALANCE_MEMORY, "time": Objective.THROUGHPUT}
"""Short names of axes; every other axis is an objective by its own name."""

_LEVELS = 5  # steps of effort for each memory limit between the least and the largest
_SAME = 1e-9  # relative; values that differ by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One plan, and the question that it is an answer to."""

    values: tuple[float, ...]
    """In the order of the axes."""
    devices: tuple[str, ...]
    """Of its stages, in order."""
    stages: int | None
    """Asked for; None where the plan was free to choose."""
    memory_bytes: int | None
    objectives: tuple[Objective, ...]
    """The question: with these limits it gives this plan again."""
    proved: bool
    """Whether no plan is better in the first of these objectives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Plans of which none is better than another in everything, by the first axis."""

    axes: tuple[Objective, ...]
    points: tuple[FrontPoint, ...]
    asked: int
    """Questions put to the solver; some had no answer, some the same."""


def pareto(
    graph: Graph,
    profile: Profile,
    limits: Limits,
    axes: Sequence[Objective],
    terms: Terms = USUAL,
    *,
    stages: Sequence[int] = (),
) -> Front:
    """The front of a graph's plans.

    Args:
        graph: what is divided.
        profile: its costs at the sizes of interest.
        limits: what every stage keeps.
        axes: objectives, two or more.
        terms: of each question; more effort means more memory limits, too.
        stages: numbers of stages to ask for; empty: those of the limits, or free on the devices of a cluster.

    Raises:
        InfeasibleError: no question has an answer.
        InputError: fewer than two axes, nothing says how many stages there are, nothing to divide, or a limit below 1.
    """
    if len(set(axes)) < 2:
        raise InputError("pareto", "a front needs two axes or more", got=", ".join(axes))
    counts: Sequence[int | None] = stages or (limits.stages,)
    for count in counts:
        check_arguments(replace(limits, stages=count), terms)
    cluster = terms.cluster
    if cluster.is_open and None in counts:
        raise InputError("pareto", "nothing says how many stages there may be", hint="--stages 2..12, or --cluster.")
    evaluator = terms.evaluator(contract(graph), profile)
    if not evaluator.contraction.placed:
        raise InputError("pareto", "the graph has nothing to divide")
    problem = formulate(evaluator.contraction, evaluator.rates, terms.constraints)
    objectives = tuple(dict.fromkeys(axes))
    demand = Demand(limits=limits, objectives=objectives, effort=terms.effort, seed=terms.seed, evaluator=evaluator)
    most = len(problem.units) if cluster.is_open else min(len(problem.units), len(cluster.members))
    survey = _Survey(problem, demand, terms.solver)
    for count in counts:
        if (count or 1) <= most and len(set(problem.homes.values())) <= (count or most):
            survey.look(count)
    if not survey.points:
        raise InfeasibleError(
            "pareto",
            "no plan keeps the limits with any of these numbers of stages",
            expected=f"at most {number_of(most, 'stage')}",
            got=", ".join(map(str, counts)),
        )
    points = sorted(undominated(survey.points), key=lambda point: point.values)
    return Front(axes=demand.objectives, points=tuple(points), asked=survey.asked)


def undominated(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Those that no other equals or beats in every axis; of equal ones the first."""

    def covers(one: FrontPoint, other: FrontPoint) -> bool:
        return all(a <= b * (1 + _SAME) for a, b in zip(one.values, other.values, strict=True))

    kept: list[FrontPoint] = []
    for point in points:
        if not any(covers(other, point) for other in kept):
            kept = [other for other in kept if not covers(point, other)]
            kept.append(point)
    return kept


class _Survey:
    """Questions to the solver, and the plans that answered."""

    def __init__(self, problem: Problem, demand: Demand, solver: str) -> None:
        self.problem, self.demand, self.solver = problem, demand, solver
        self.points: list[FrontPoint] = []
        self.asked = 0

    def look(self, count: int | None) -> None:
        """All questions for one number of stages."""
        limits = replace(self.demand.limits, stages=count)
        axes = self.demand.objectives
        alone = [self._ask(axis, limits) for axis in axes]
        peaks = [max(stage.peak_bytes for stage in self._price(found)) for found in alone if found is not None]
        for memory in self._levels(peaks):
            for axis in axes:
                if axis is not Objective.BALANCE_MEMORY:
                    self._ask(axis, replace(limits, memory_bytes=memory))

    def _levels(self, peaks: Sequence[int]) -> Iterator[int]:
        """Memory limits between the least peak and the largest, evenly by ratio, the least one too."""
        if not peaks or min(peaks) == max(peaks):
            return
        least, most = min(peaks), max(peaks)
        steps = max(1, self.demand.effort // _LEVELS)
        yield from dict.fromkeys(round(least * (most / least) ** (step / (steps + 1))) for step in range(steps + 1))

    def _ask(self, axis: Objective, limits: Limits) -> Solution | None:
        later = tuple(o for o in self.demand.objectives if o not in (axis, Objective.BALANCE_MEMORY))
        wanted = (axis, *later)
        self.asked += 1
        found = solve(self.problem, replace(self.demand, limits=limits, objectives=wanted), self.solver)
        if found is None:
            return None
        values = self.demand.evaluator.values(found.assignment, found.devices, self.demand.objectives)
        reached = values[self.demand.objectives.index(axis)]
        self.points.append(
            FrontPoint(
                values=values,
                devices=found.devices,
                stages=limits.stages,
                memory_bytes=limits.memory_bytes,
                objectives=wanted,
                proved=found.bound is not None and reached <= found.bound.value * (1 + _SAME),
            )
        )
        return found

    def _price(self, found: Solution) -> tuple[Stage, ...]:
        return self.demand.evaluator.price(found.assignment, found.devices)[0]
