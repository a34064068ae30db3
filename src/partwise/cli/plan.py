"""`partwise plan`: profile → plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec

from partwise import api
from partwise.cli.applicable import refuse_all_but
from partwise.cli.emission import emit_option, give_emission
from partwise.cli.explain import explain_option, show_explanation, take_explanation
from partwise.cli.options import (
    PATH,
    check_parent,
    json_option,
    optional_model_argument,
    plan_options,
    planned_capture_options,
    take_batch,
    take_capture_options,
    take_plan_options,
)
from partwise.cli.output import print_json, timed
from partwise.cli.pareto import check_plot, pareto_options, save_plot, show_front
from partwise.cli.phases import give_phases, phase_options, take_phase, take_phase_options
from partwise.cli.pipeline import Pipeline, pipeline_options, predicted, show_pipeline, take_pipeline_options
from partwise.cli.render import show_placement, show_plan
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.frontends import CaptureOptions, takes
from partwise.ir import Graph
from partwise.planning import Explanation, Objective, Plan, plan_to_data
from partwise.profiling import Logits, Phase, Rules, phase_sizes

__all__ = ["plan"]


@click.command()
@optional_model_argument
@plan_options
@click.option("--workload", type=PATH, help="Instead of a model: costs in the public benchmark's JSON format.")
@planned_capture_options
@click.option("-o", "--output", type=PATH, help="Save the plan here, as JSON with its graph.")
@pareto_options
@explain_option
@emit_option
@pipeline_options
@phase_options
@click.option(
    "--fuse", type=click.Choice([str(rules) for rules in Rules]), help="Nodes that run as one kernel unless cut apart."
)
@click.option("--non-contiguous", is_flag=True, help="Of a --workload: a device may hold any nodes (`solvers` extra).")
@json_option
def plan(model: str | None, workload: Path | None, output: Path | None, as_json: bool, **given: Any) -> None:
    """Divide a model into stages, and say how good the division can be at most.

    With --no-weights the sizes given are captured as they are (static), which is faster.

    \b
    Example:  partwise plan llama-70b/ --no-weights --memory 12GiB --batch 1 --sequence 2048
              partwise plan graph.json --stages 4 --objective balance -o plan.json
              partwise plan graph.json --stages 4 --objective 0.7*throughput+0.3*traffic --explain
              partwise plan vit/ --no-weights --cluster home.toml --objective throughput
              partwise plan graph.json --stages 2..8 --pareto memory,time,traffic --plot front.svg
              partwise plan llama/ --no-weights --cluster home.toml --emit vllm
              partwise plan vit/ --no-weights --stages 4 --microbatches 8
              partwise plan llama-8b/ --no-weights --cluster laptop.toml --prompt 512 --generate 128
              partwise plan vit/ --no-weights --stages 4 --memory 4GiB --batch auto
              partwise plan --workload bert_l-6_op_inference.json
    """
    fuse, anywhere, batch = given.pop("fuse"), given.pop("non_contiguous"), take_batch(given)
    asked = _Asked(**{name: given.pop(name) for name in ("target", "pareto", "plot", "explain")})
    asked.check(workload, output, given["objective"] is not None or given["solver"] != "auto")
    pipeline = take_pipeline_options(given, is_shown=not (asked.target or asked.pareto or workload))
    plain = not (asked.target or asked.pareto or asked.explain or workload or pipeline or given["static"] or fuse)
    phase = take_phase(given)
    tokens = take_phase_options(given, is_shown=plain and given["sequence"] is None)
    if workload is not None:
        refuse_all_but({"model", "named_model", "workload", "output", "non_contiguous", "effort", "as_json"},
                       "is for a model, and a --workload is none.")  # fmt: skip
        _place(model, workload, output, as_json, {"non_contiguous": anywhere, "effort": given["effort"]})
        return
    if anywhere:
        raise click.UsageError("--non-contiguous is for a --workload: a model's stages run one after the other.")
    if model is None:
        raise click.UsageError("Missing argument 'MODEL' (or --workload FILE).")
    check_parent(output)
    limits, options = take_plan_options(given, allow_range=asked.pareto is not None), take_capture_options(given)
    room = tokens.all if tokens is not None else options.sequence if phase is not None else None
    options = _captured_for(model, options, room, is_batch_free=batch is not None)
    with timed("captured"):
        graph = api.capture_with(model, options)
    if tokens is not None:
        give_phases(graph, tokens, options.batch or 1, limits, output, as_json=as_json)
        return
    limits["sizes"] = api.sizes_for(graph, options) if phase is None else _sizes(graph, phase, options)
    if asked.pareto is not None:
        _front(graph, asked, as_json, limits | {"fuse": fuse or "none"})
        return
    with timed("planned"):
        made = api.plan(graph, fuse=fuse or "none", batch=batch, **limits)
    if asked.target is not None:
        give_emission(made, asked.target, output, as_json=as_json)
        return
    if output is not None:
        write_whole(output, canonical_json(plan_to_data(made, with_graph=True)))
    explanation = take_explanation(made, effort=limits["effort"]) if asked.explain else None
    _show(made, explanation, pipeline, as_json)


def _captured_for(model: str, options: CaptureOptions, room: int | None, *, is_batch_free: bool) -> CaptureOptions:
    """How a model is captured: with room for so many tokens of K/V, or as it is where weights do not matter."""
    if room is not None:
        return replace(options, cache=room)
    is_fixed = not options.weights and not is_batch_free and takes(model, "static")
    return replace(options, static=True) if is_fixed else options


def _sizes(graph: Graph, phase: Phase, options: CaptureOptions) -> dict[str, int]:
    return phase_sizes(graph, phase, options.sequence or 1, options.batch or 1, Logits.LAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is wanted instead of a plan, or beside it."""

    target: str | None
    pareto: tuple[Objective, ...] | None
    plot: Path | None
    explain: bool

    def check(self, workload: Path | None, output: Path | None, is_solver_asked: bool) -> None:
        """Raise before any work where options do not go together."""
        check_plot(self.plot, self.pareto)
        if workload is not None and (self.target or self.pareto or self.explain):
            raise click.UsageError("--emit, --pareto and --explain are for a model, not for a --workload.")
        if self.pareto is not None and (self.target or self.explain or output or is_solver_asked):
            raise click.UsageError("--pareto takes no --output, --explain, --emit, --objective or --solver.")
        if self.target is not None and self.explain:
            raise click.UsageError("--emit writes a plan for another runtime; --explain is for the plan itself.")


def _show(made: Plan, explanation: Explanation | None, pipeline: Pipeline | None, as_json: bool) -> None:
    if as_json:
        more = {} if explanation is None else {"explanation": msgspec.to_builtins(explanation)}
        more |= {} if pipeline is None else {"pipeline": msgspec.to_builtins(predicted(made, pipeline))}
        print_json(plan_to_data(made, with_graph=False) | more)
        return
    show_plan(made)
    if explanation is not None:
        show_explanation(made, explanation)
    if pipeline is not None:
        show_pipeline(made, pipeline)


def _front(graph: Graph, asked: _Asked, as_json: bool, given: dict[str, Any]) -> None:
    """A front instead of one plan."""
    del given["objective"], given["solver"]
    with timed("planned"):
        front = api.pareto(graph, asked.pareto or (), **given)
    if asked.plot is not None:
        save_plot(front, asked.plot)
    if as_json:
        print_json(msgspec.to_builtins(front))
    else:
        show_front(front)


def _place(model: str | None, workload: Path, output: Path | None, as_json: bool, how: dict[str, Any]) -> None:
    """Place a workload, with no model behind it."""
    if model is not None or output is not None:
        raise click.UsageError("--workload stands instead of MODEL, and its answer is printed (--json).")
    with timed("placed"):
        found = api.place_workload(workload, **how)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        show_placement(found)
