"""What it costs to move a cut by one unit: the plan's neighbours, priced by the evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from partwise.planning.check import broken_limits, value_of
from partwise.planning.constraints import settle
from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.explaining.records import BoundaryReason, Move
from partwise.planning.records import Cut, Objective, Plan, Stage

__all__ = ["boundary_reasons"]

_TRIED = 4  # units that could cross a cut, the nearest to it in the graph's order
_SAME = 1e-9  # relative; values that differ by rounding

Units = Sequence[tuple[int, ...]]


def boundary_reasons(plan: Plan, evaluator: Evaluator) -> Iterator[BoundaryReason]:
    """A reason for each pair of stages that follow each other."""
    moves = _Moves(plan, evaluator)
    for before in range(len(plan.stages) - 1):
        tensors, size = _crossing(plan.cuts, before, plan)
        earlier, later = moves.best(before, before + 1), moves.best(before + 1, before)
        yield BoundaryReason(
            before=before, tensors=tensors, bytes=size, earlier=earlier, later=later, why=_why(earlier, later)
        )


class _Moves:
    """One unit of a plan on another stage."""

    def __init__(self, plan: Plan, evaluator: Evaluator) -> None:
        self.plan, self.evaluator = plan, evaluator
        contraction = evaluator.contraction
        reads = {index: contraction.reads(index) for index in contraction.placed}
        settled = settle(contraction, plan.constraints, plan.cluster)
        self.units, self.homes = settled.units, settled.homes
        unit_of = {node: unit for unit, nodes in enumerate(self.units) for node in nodes}
        stage_of = {node: stage.index for stage in plan.stages for node in stage.nodes}
        self.stage = [stage_of[nodes[0]] for nodes in self.units]
        maker = {name: unit_of[i] for i in contraction.placed for name in contraction.graph.nodes[i].outputs}
        self.before: list[set[int]] = [set() for _ in self.units]
        self.after: list[set[int]] = [set() for _ in self.units]
        for node, closure in reads.items():
            for name in closure.received:
                if name in maker and maker[name] != unit_of[node]:
                    self.before[unit_of[node]].add(maker[name])
                    self.after[maker[name]].add(unit_of[node])

    def best(self, source: int, target: int) -> Move | None:
        """The move of a unit between neighbouring stages that costs least; None: there is none."""
        mine = [unit for unit, stage in enumerate(self.stage) if stage == source]
        others = self.after if target > source else self.before
        free = [unit for unit in mine if all(self.stage[other] != source for other in others[unit])]
        if len(mine) < 2 or not free:
            return None
        tried = free[-_TRIED:] if target > source else free[:_TRIED]
        moves = [self._move(unit, target, min(source, target)) for unit in tried]
        return min(moves, key=_rank)

    def _move(self, unit: int, target: int, before: int) -> Move:
        plan, nodes = self.plan, self.units[unit]
        assignment: Assignment = tuple(
            tuple(sorted([*(n for n in s.nodes if n not in nodes), *(nodes if s.index == target else ())]))
            for s in plan.stages
        )
        stages, cuts = self.evaluator.price(assignment, [stage.device for stage in plan.stages])
        forbidden = self._forbidden(stages, unit)
        objective, value, change = self._change(stages, cuts)
        return Move(
            node=plan.graph.nodes[nodes[0]].name,
            nodes=len(nodes),
            value=None if forbidden else value,
            objective=objective,
            change=change,
            bytes=_crossing(cuts, before, plan)[1],
            forbidden=forbidden,
        )

    def _change(self, stages: Sequence[Stage], cuts: Sequence[Cut]) -> tuple[Objective | None, float, float]:
        """The first objective that differs, the new value, and the relative change of what differs."""
        levels = self.plan.levels
        values = self.evaluator.measured(stages, cuts, [level.objective for level in levels])
        moved = [replace(level, value=value) for level, value in zip(levels, values, strict=True)]
        value = value_of(moved)
        if levels[0].weight is not None:
            return None, value, _relative(self.plan.value, value)
        for old, new in zip(levels, moved, strict=True):
            if abs(change := _relative(old.value, new.value)) > _SAME:
                return old.objective, value, change
        return None, value, 0.0

    def _forbidden(self, stages: Sequence[Stage], unit: int) -> str:
        plan = self.plan
        if unit in self.homes:
            return f"pinned to {self.homes[unit]}"
        return next(broken_limits(stages, plan, self.evaluator.contraction), "")


def _relative(old: float, new: float) -> float:
    if old == new:
        return 0.0
    return new / old - 1 if old else float("inf")


def _rank(move: Move) -> tuple[bool, float]:
    return bool(move.forbidden), move.change


def _crossing(cuts: Sequence[Cut], before: int, plan: Plan) -> tuple[tuple[str, ...], int]:
    """Values that stages up to this one make and later ones receive, and their bytes, each once."""
    names = dict.fromkeys(name for cut in cuts if cut.source <= before < cut.target for name in cut.tensors)
    return tuple(names), sum(plan.graph.spec[name].bytes(plan.sizes) for name in names)


def _why(earlier: Move | None, later: Move | None) -> str:
    """The reason in a few words."""
    moves = [move for move in (earlier, later) if move is not None]
    allowed = [move for move in moves if not move.forbidden]
    if not moves:
        return "nothing can move"
    if any(move.change < -_SAME for move in allowed):
        return "a move would be better"
    if any(abs(move.change) <= _SAME for move in allowed):
        return "as good one unit away"
    if not allowed:
        return f"held by {moves[0].forbidden}"
    if len(allowed) < len(moves):
        blocked = next(move for move in moves if move.forbidden)
        return f"worse one way; the other: {blocked.forbidden}"
    return "worse both ways" if len(moves) == 2 else "worse the one way there is"
