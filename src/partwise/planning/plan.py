"""Plan: limits and objectives in, the best division found and its bound out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from partwise.errors import InfeasibleError, InputError, PlanError
from partwise.hardware import REFERENCE_DEVICE, REFERENCE_LINK, Device, Link
from partwise.ir import Contraction, Graph, contract
from partwise.planning.bounds import find_bound
from partwise.planning.check import gap_of, violations
from partwise.planning.infeasible import explain
from partwise.planning.line import Line
from partwise.planning.orders import orders
from partwise.planning.price import measure, price
from partwise.planning.problem import Problem, formulate
from partwise.planning.records import Bound, Level, Limits, Objective, Plan
from partwise.planning.solvers import SOLVERS, Assignment, Demand, Solution
from partwise.profiling import Profile

__all__ = ["default_objectives", "plan"]

_EFFORT = 10  # orders tried
_WITH_COUNT = (Objective.BALANCE, Objective.TRAFFIC)
_WITHOUT_COUNT = (Objective.STAGES, Objective.TRAFFIC, Objective.BALANCE)
_ROUNDING = 1e-12  # relative; a bound and a value of the same sum may differ by this


def default_objectives(limits: Limits) -> tuple[Objective, ...]:
    """What is made small when nobody says: with a number of stages their balance, else the number itself."""
    return _WITH_COUNT if limits.stages is not None else _WITHOUT_COUNT


def plan(
    graph: Graph,
    profile: Profile,
    limits: Limits,
    objectives: Sequence[Objective] = (),
    *,
    device: Device = REFERENCE_DEVICE,
    link: Link = REFERENCE_LINK,
    solver: str = "slices",
    effort: int = _EFFORT,
    seed: int = 0,
) -> Plan:
    """Divide a graph into stages.

    Args:
        graph: what is divided.
        profile: its costs at the sizes of interest.
        limits: what every stage keeps.
        objectives: made small in this order, each among the plans that are best for those before it; empty:
            `default_objectives`. Where balance or throughput comes first and nothing says how many stages, it
            is solved among the plans of fewest stages: devices are not free.
        device: what every stage computes on.
        link: what connects any two stages.
        solver: a name of `solvers.SOLVERS`.
        effort: how many topological orders to try.
        seed: of the random ones among them.

    Raises:
        InfeasibleError: no plan keeps the limits; it says which smallest limit works.
        InputError: a limit below 1, or an unknown solver.
    """
    _check_arguments(limits, solver, effort)
    wanted = tuple(dict.fromkeys(objectives)) or default_objectives(limits)
    contraction = contract(graph)
    if not contraction.placed:
        return _finish(_whole(wanted, limits), contraction, profile, limits, wanted, device, link)
    problem = formulate(contraction, profile, device, link)
    solved = _with_count(wanted, limits)

    def value_of(assignment: Assignment) -> tuple[float, ...]:
        stages, cuts = price(contraction, profile, assignment, device)
        return tuple(measure(objective, stages, cuts, graph, profile.sizes, link) for objective in solved)

    demand = Demand(limits=limits, objectives=solved, effort=effort, seed=seed, value_of=value_of)
    solution = SOLVERS[solver](problem, demand) if (limits.stages or 1) <= len(problem.units) else None
    if solution is None:
        raise explain([Line(problem, order) for _, order in orders(problem, effort, seed)], limits)
    if solved != wanted:
        note = f"{len(solution.assignment)} stages, the fewest found that keep the limits, since nothing says how many"
        solution = replace(solution, notes=(*solution.notes, note))
    bound = _bound(problem, limits, wanted, solution)
    return _finish((solution, bound), contraction, profile, limits, wanted, device, link)


def _check_arguments(limits: Limits, solver: str, effort: int) -> None:
    options = {
        "memory": limits.memory_bytes,
        "stages": limits.stages,
        "max_parameters": limits.max_parameters,
        "max_layers": limits.max_layers,
        "effort": effort,
    }
    for name, value in options.items():
        if value is not None and value < 1:
            raise InputError(name, "must be at least 1", got=value)
    if solver not in SOLVERS:
        raise InputError(f"solver `{solver}`", "there is no such solver", expected=", ".join(SOLVERS))


def _with_count(wanted: tuple[Objective, ...], limits: Limits) -> tuple[Objective, ...]:
    """The objectives as solved: a free number of stages is made small before a largest time."""
    is_free = limits.stages is None and wanted[0] in (Objective.BALANCE, Objective.THROUGHPUT)
    return tuple(dict.fromkeys((Objective.STAGES, *wanted))) if is_free else wanted


def _whole(wanted: tuple[Objective, ...], limits: Limits) -> tuple[Solution, Bound]:
    """The plan of a graph with nothing to place: one stage that repeats it all."""
    if (limits.stages or 1) > 1:
        raise InfeasibleError("stages", "the graph has nothing to divide", expected=1, got=limits.stages)
    bound = Bound(value=float(Objective.STAGES is wanted[0]), origin="nothing to divide", plans="all")
    return Solution(assignment=((),), values=(), how="whole"), bound


def _bound(problem: Problem, limits: Limits, wanted: tuple[Objective, ...], solution: Solution) -> Bound:
    is_free = limits.stages is None and wanted[0] in (Objective.STAGES, Objective.TRAFFIC)
    return find_bound(problem, limits, wanted[0], None if is_free else len(solution.assignment))


def _finish(
    answer: tuple[Solution, Bound],
    contraction: Contraction,
    profile: Profile,
    limits: Limits,
    wanted: tuple[Objective, ...],
    device: Device,
    link: Link,
) -> Plan:
    """The record, priced and checked."""
    solution, bound = answer
    graph = contraction.graph
    stages, cuts = price(contraction, profile, solution.assignment, device)
    values = [measure(objective, stages, cuts, graph, profile.sizes, link) for objective in wanted]
    least = float(bound.value)
    if values[0] <= least * (1 + _ROUNDING):
        least = min(least, values[0])
    made = Plan(
        graph=graph,
        sizes=profile.sizes,
        limits=limits,
        levels=tuple(Level(objective=o, value=value) for o, value in zip(wanted, values, strict=True)),
        value=values[0],
        bound=least,
        bound_origin=bound.origin,
        bound_plans=bound.plans,
        gap=gap_of(values[0], least),
        solver=solution.how,
        device=device.name,
        link=link.name,
        stages=stages,
        cuts=cuts,
        notes=solution.notes,
    )
    if found := list(violations(made, contraction, profile, device, link)):
        raise PlanError("the solver's answer", f"breaks an invariant (a bug, please report): {found[0]}")
    return made
