"""Plan: limits and objectives in, the best division found and its bound out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from partwise.errors import InfeasibleError, InputError
from partwise.hardware import REFERENCE_CLUSTER, Cluster
from partwise.ir import Graph, contract
from partwise.planning.bounds import find_bound
from partwise.planning.choose_solver import SOLVERS, solve
from partwise.planning.constraints import Constraints
from partwise.planning.demand import Demand, Solution
from partwise.planning.goals import GOALS, Join
from partwise.planning.infeasible import why_infeasible
from partwise.planning.priced_plan import checked_plan
from partwise.planning.problem import Problem, formulate
from partwise.planning.records import Blend, Bound, Limits, Objective, Plan
from partwise.planning.terms import USUAL, Terms
from partwise.planning.undivided import why_alone
from partwise.planning.weighted import solve_blend
from partwise.profiling import Profile
from partwise.units import number_of

__all__ = ["check_arguments", "default_objectives", "plan"]

_WITH_COUNT = (Objective.BALANCE, Objective.TRAFFIC)
_WITHOUT_COUNT = (Objective.STAGES, Objective.TRAFFIC, Objective.BALANCE)
_NOTHING = Bound(value=0.0, origin="none known", plans="")


def default_objectives(limits: Limits, cluster: Cluster = REFERENCE_CLUSTER) -> tuple[Objective, ...]:
    """What is made small when nobody says: on given devices the period of the pipeline, of a given number of stages
    their balance, else the number itself."""
    if not cluster.is_open:
        return (Objective.THROUGHPUT,)
    return _WITH_COUNT if limits.stages is not None else _WITHOUT_COUNT


def plan(
    graph: Graph,
    profile: Profile,
    limits: Limits,
    objectives: Sequence[Objective] | Blend = (),
    terms: Terms = USUAL,
) -> Plan:
    """Divide a graph into stages.

    Args:
        graph: what is divided.
        profile: its costs at the sizes of interest.
        limits: what every stage keeps.
        objectives: made small in this order, each among the plans that are best for those before it; empty:
            `default_objectives`. Where nothing says how many stages or devices there are, and a time comes first,
            it is solved among the plans of fewest stages: devices are not free. A `Blend` is weighted instead, each
            objective divided by its own best value.
        terms: devices, constraints, and who looks how long.

    Raises:
        InfeasibleError: no plan keeps the limits; it says which smallest limit works.
        InputError: a limit below 1, an unknown solver, or constraints that cannot be kept.
        DeviceError: a device without a figure that an objective needs.
    """
    check_arguments(limits, terms)
    blend = objectives if isinstance(objectives, Blend) else None
    named = [s.objective for s in objectives.shares] if isinstance(objectives, Blend) else objectives
    wanted = tuple(dict.fromkeys(named)) or default_objectives(limits, terms.cluster)
    contraction = contract(graph)
    evaluator = terms.evaluator(contraction, profile)
    demand = Demand(limits=limits, objectives=wanted, effort=terms.effort, seed=terms.seed, evaluator=evaluator)
    if not contraction.placed:
        return checked_plan(_whole(wanted, limits, terms.cluster), demand, terms.constraints)
    problem = formulate(contraction, evaluator.rates, terms.constraints)
    if blend is not None:
        return _blended(problem, demand, (blend, terms.constraints), terms.solver)
    solution = _solution(problem, demand, terms.solver)
    bound = solution.bound
    if bound is None or bound.value < solution.values[0]:
        bound = max(bound or _NOTHING, _bound(problem, limits, wanted, solution), key=lambda one: one.value)
    notes = (*solution.notes, *problem.notes, *why_alone(problem, demand, solution))
    return checked_plan((replace(solution, notes=notes), bound), demand, terms.constraints)


def _solution(problem: Problem, demand: Demand, solver: str) -> Solution:
    """The best found; a free number of stages is settled first where it is not free of charge."""
    limits, wanted = demand.limits, demand.objectives
    solved = _with_count(wanted, limits, problem.cluster)
    first = replace(demand, objectives=solved)
    solution = solve(problem, first, solver) if _may_exist(problem, limits) else None
    if solution is None:
        raise why_infeasible(problem, first, lambda p, d: solve(p, d, solver))
    if solved == wanted:
        return solution
    count = len(solution.assignment)
    second = replace(demand, limits=replace(limits, stages=count))
    return _refined(solution, solve(problem, second, solver), count)


def _blended(problem: Problem, demand: Demand, asked: tuple[Blend, Constraints], solver: str) -> Plan:
    """The plan for a weighted sum; where nothing says how many stages there are, among those of fewest."""
    blend, constraints = asked
    notes, count = problem.notes, demand.limits.stages
    if count is None and problem.cluster.is_open:
        count = len(_solution(problem, replace(demand, objectives=(Objective.STAGES,)), solver).assignment)
        notes = (*notes, _fewest(count))
    counted = replace(demand, limits=replace(demand.limits, stages=count))
    possible = _may_exist(problem, demand.limits)
    found = solve_blend(problem, counted, blend, lambda p, d: solve(p, d, solver)) if possible else None
    if found is None:
        raise why_infeasible(problem, demand, lambda p, d: solve(p, d, solver))
    solution = replace(found.solution, notes=(*found.solution.notes, *found.notes, *notes))
    weights = [(share.weight, scale) for share, scale in zip(blend.shares, found.scales, strict=True)]
    return checked_plan((solution, found.bound), demand, constraints, weights)


def _may_exist(problem: Problem, limits: Limits) -> bool:
    """Whether so many stages have units and devices to be on."""
    return len(set(problem.homes.values())) <= (limits.stages or inf) and (limits.stages or 1) <= len(problem.units)


def _refined(first: Solution, second: Solution | None, stages: int) -> Solution:
    """The plan of so many stages that is best for what was asked, and why there are so many."""
    found = replace(first, bound=None) if second is None else second
    return replace(found, notes=(*found.notes, _fewest(stages)))


def _fewest(stages: int) -> str:
    return f"{number_of(stages, 'stage')}, the fewest found that keep the limits, since nothing says how many"


def check_arguments(limits: Limits, terms: Terms) -> None:
    """Raise before any work where a limit or the effort is below 1, or there is no such solver.

    Raises:
        InputError: which of them.
    """
    options = {
        "memory": limits.memory_bytes,
        "stages": limits.stages,
        "max_parameters": limits.max_parameters,
        "max_layers": limits.max_layers,
        "effort": terms.effort,
    }
    for name, value in options.items():
        if value is not None and value < 1:
            raise InputError(name, "must be at least 1", got=value)
    if terms.solver not in ("auto", *SOLVERS):
        raise InputError(f"solver `{terms.solver}`", "there is no such solver", expected=", ".join(("auto", *SOLVERS)))


def _with_count(wanted: tuple[Objective, ...], limits: Limits, cluster: Cluster) -> tuple[Objective, ...]:
    """The objectives as solved: a free number of stages on free devices is made small before a largest price."""
    is_free = limits.stages is None and cluster.is_open and GOALS[wanted[0]].join is Join.LARGEST
    kept = (o for o in wanted if o is not Objective.BALANCE_MEMORY)  # its search is long; the count needs it not
    return tuple(dict.fromkeys((Objective.STAGES, *kept))) if is_free else wanted


def _whole(wanted: tuple[Objective, ...], limits: Limits, cluster: Cluster) -> tuple[Solution, Bound]:
    """The plan of a graph with nothing to place: one stage that repeats it all."""
    if (limits.stages or 1) > 1:
        raise InfeasibleError("stages", "the graph has nothing to divide", expected=1, got=limits.stages)
    bound = Bound(value=float(Objective.STAGES is wanted[0]), origin="nothing to divide", plans="all")
    return Solution(assignment=((),), devices=(cluster.members[0].name,), values=(), how="whole"), bound


def _bound(problem: Problem, limits: Limits, wanted: tuple[Objective, ...], solution: Solution) -> Bound:
    is_free = limits.stages is None and wanted[0] in (Objective.STAGES, Objective.TRAFFIC)
    return find_bound(problem, limits, wanted[0], None if is_free else len(solution.assignment))
