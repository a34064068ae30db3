"""Place a workload: what the solvers answer, and how good that can be at most."""

from __future__ import annotations

from partwise.errors import InfeasibleError, InputError
from partwise.planning.check import gap_of
from partwise.planning.cpsat import Arrangement, solve_cpsat
from partwise.planning.ideals import Answer, solve_ideals
from partwise.planning.workload.graph import WorkloadGraph
from partwise.planning.workload.records import Placement, PlacementStage, Workload

__all__ = ["place"]

_IDEALS = 60_000
_EFFORT = 10  # of the search for placements that are not contiguous; some seconds each


def place(workload: Workload, subject: str, *, non_contiguous: bool = False, effort: int = _EFFORT) -> Placement:
    """The best contiguous placement: every device's forward nodes, and its backward nodes, are closed under paths.

    Args:
        workload: what is placed.
        subject: its name.
        non_contiguous: a device may hold any nodes instead.
        effort: of the search for such placements (`solve_cpsat`).

    Raises:
        InfeasibleError: no placement keeps the accelerators' memory, or some node can run nowhere.
        InputError: the edges form a cycle.
        MissingExtraError: `non_contiguous` without OR-Tools.
    """
    graph = WorkloadGraph(workload)
    _refuse_hopeless(graph, subject)
    instance = graph.instance()
    answer = solve_ideals(instance, most=_IDEALS)
    if not non_contiguous:
        if answer is None:
            raise _no_room(workload, subject)
        return _contiguous(graph, subject, answer)
    found = solve_cpsat(instance, contiguous=False, hint=answer, effort=effort)
    if not found.stages:
        raise _no_room(workload, subject)
    return _anywhere(graph, subject, found)


def _refuse_hopeless(graph: WorkloadGraph, subject: str) -> None:
    """Refuse a workload that no placement can be of, whatever its memory."""
    if graph.is_cyclic:
        raise InputError(subject, "its edges form a cycle", expected="an acyclic graph")
    if (homeless := graph.homeless()) is not None:
        raise InfeasibleError(f"{subject}, node {homeless}", "is not supported on accelerators, and there is no CPU")


def _no_room(workload: Workload, subject: str) -> InfeasibleError:
    need, room = sum(node.size for node in workload.nodes), workload.maxSizePerFPGA * workload.maxFPGAs
    what = "no placement keeps the memory of its accelerators"
    return InfeasibleError(subject, what, expected=f"size ≤ {room:g} in all", got=f"{need:g}")


def _contiguous(graph: WorkloadGraph, subject: str, answer: Answer) -> Placement:
    """A placement in which every device's nodes are closed under paths."""
    stages = graph.stages(answer.stages)
    bound = _value(stages) if answer.proved else graph.average()
    plans = "acyclic placements" if answer.proved else "all placements"
    return _placement(subject, stages, bound, plans, "ideals" if answer.proved else "prefixes")


def _anywhere(graph: WorkloadGraph, subject: str, found: Arrangement) -> Placement:
    """A placement in which a device may hold any nodes."""
    stages = graph.stages(found.stages)
    value = _value(stages)
    bound = value if found.proved else min(value, max(found.bound, graph.average()))
    return _placement(subject, stages, bound, "all placements", "cpsat")


def _placement(subject: str, stages: tuple[PlacementStage, ...], bound: float, plans: str, solver: str) -> Placement:
    value = _value(stages)
    return Placement(
        workload=subject,
        value=value,
        bound=bound,
        bound_plans=plans,
        gap=gap_of(value, bound),
        solver=solver,
        stages=stages,
    )


def _value(stages: tuple[PlacementStage, ...]) -> float:
    return max(stage.load for stage in stages)
