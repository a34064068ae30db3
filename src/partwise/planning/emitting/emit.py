"""Emit: round a plan to what the target can express, price the loss, write it in the target's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from partwise.errors import InputError
from partwise.ir import Contraction, Format, contract
from partwise.planning.emitting import accelerate, llama_cpp, pipelining, vllm
from partwise.planning.emitting.records import Emission, Grain, Placed, Target, Written
from partwise.planning.emitting.rounding import round_plan
from partwise.planning.records import Level, Plan
from partwise.planning.terms import Terms
from partwise.profiling import profile

__all__ = ["emit"]


@dataclass(frozen=True, slots=True)
class _Dialect:
    """One row of the table of targets."""

    grain: Callable[[Contraction], Grain]
    write: Callable[[Contraction, Plan, Grain, Placed], Written]


_DIALECTS = {
    Target.ACCELERATE: _Dialect(accelerate.grain, accelerate.write),
    Target.PIPELINING: _Dialect(pipelining.grain, pipelining.write),
    Target.VLLM: _Dialect(vllm.grain, vllm.write),
    Target.LLAMA_CPP: _Dialect(llama_cpp.grain, llama_cpp.write),
}


def emit(plan: Plan, target: Target) -> Emission:
    """A plan in the words of another runtime.

    What the target cannot express is rounded: the best division of what it cannot separate, at the plan's number
    of stages where that was part of the question, priced by the evaluator that priced the plan.

    Raises:
        InputError: a graph without modules, or without what the target counts in.
        InfeasibleError: no division that the target can express keeps the plan's limits.
    """
    if plan.graph.format is not Format.TORCH:
        raise InputError(
            f"--emit {target}", "the graph has no modules", expected="a torch model", got=plan.graph.format
        )
    contraction, dialect = contract(plan.graph), _DIALECTS[target]
    evaluator = Terms.of(plan).evaluator(contraction, profile(plan.graph, plan.sizes))
    grain = dialect.grain(contraction)
    placed = round_plan(plan, grain, evaluator, str(target))
    written = dialect.write(contraction, plan, grain, placed)
    objectives = [level.objective for level in plan.levels]
    values = evaluator.values(placed.nodes, placed.devices, objectives)
    return Emission(
        target=target,
        data=written.data,
        text=written.text,
        stages=placed.nodes,
        devices=placed.devices,
        planned=plan.levels,
        reached=tuple(Level(objective=o, value=value) for o, value in zip(objectives, values, strict=True)),
        notes=written.notes,
    )
