"""One small plan, readable: whoever changes the planner sees here what changed."""

from __future__ import annotations

from pathlib import Path

from graphs import transformer
from partwise.planning import Limits, Objective, Plan, plan
from partwise.profiling import profile

GOLDEN = Path(__file__).parents[2] / "golden" / "plan_transformer.txt"


def _text(made: Plan) -> str:
    levels = ", ".join(f"{level.objective} {level.value:g}" for level in made.levels)
    lines = [f"{levels}; bound {made.bound:g} ({made.bound_origin}; {made.bound_plans}); {made.solver}"]
    for stage in made.stages:
        nodes = " ".join(made.graph.nodes[node].name for node in stage.nodes)
        lines.append(f"stage {stage.index}: {stage.weight_bytes} + {stage.peak_bytes - stage.weight_bytes} B: {nodes}")
    lines += [f"{cut.source} -> {cut.target}: {cut.bytes} B: {' '.join(cut.tensors)}" for cut in made.cuts]
    return "\n".join(lines) + "\n"


def test_the_plan_of_a_small_transformer() -> None:
    graph = transformer(2, 32, 8, vocabulary=100)
    made = plan(graph, profile(graph), Limits(memory_bytes=50_000), [Objective.STAGES, Objective.TRAFFIC])
    assert _text(made) == GOLDEN.read_text(encoding="utf-8")
