"""`partwise profile`: graph → profile, and what it takes on devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec

from partwise import api
from partwise.calibration import Comparison, compare, parse_trace
from partwise.cli.options import PATH, check_parent, json_option, other_capture_options, take_capture_options
from partwise.cli.output import print_json, timed
from partwise.cli.render import show_profile
from partwise.cli.render_estimates import (
    Row,
    csv_text,
    show_check,
    show_comparison,
    show_estimate,
    show_key_values,
    show_parallelism,
    show_unknown,
)
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.frontends import CaptureOptions
from partwise.frontends.zoo import ZOO
from partwise.hardware import Device, resident_threads
from partwise.ir import Graph
from partwise.profiling import (
    Estimate,
    Logits,
    Phase,
    Profile,
    Rules,
    concurrency,
    key_value_traffic,
    phase_sizes,
    saturating_batch,
)
from partwise.units import whole_number

__all__ = ["profile"]

FULL = 0.95
"""Share of a device's threads that has work when it counts as saturated."""
Counted = tuple[str, Graph, Profile]
"""The model as the user named it, its graph, and the counts at one set of sizes."""


class Sizes(click.ParamType[tuple[int, ...]]):
    """One size, or several separated by commas: 1,8,64."""

    name = "n[,n]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]
        sizes = tuple(whole_number(part.strip()) or 0 for part in str(value).split(","))
        if 0 in sizes:
            self.fail(f"{value!r}: expected whole numbers above 0, as 1,8,64", param, ctx)
        return sizes


@click.command()
@click.argument("models", metavar="MODEL", nargs=-1, required=True)
@click.option("--models", "several", is_flag=True, help="Compare the models that follow.")
@click.option("--hardware", multiple=True, help="Device of the catalog, `all`, or a TOML file; several with commas.")
@click.option("--batch", "batches", type=Sizes(), help="Batch size, or several to sweep: 1,8,64.")
@click.option("--sequence", "sequences", type=Sizes(), help="Tokens, or several to sweep.")
@click.option(
    "--phase",
    type=click.Choice([str(phase) for phase in Phase]),
    help="A language model with K/V: reading --sequence tokens, or making the last one of so many.",
)
@click.option(
    "--logits",
    type=click.Choice([str(logits) for logits in Logits]),
    default=str(Logits.ALL),
    show_default=True,
    help="Of which tokens prefill computes logits.",
)
@click.option("--price", type=click.FloatRange(0, min_open=True), help="Of the device, in $ an hour.")
@click.option(
    "--estimator",
    type=click.Choice(["roofline", "simple"]),
    default="roofline",
    show_default=True,
    help="How to predict; `simple` has the source document's formulas, in which memory takes no time.",
)
@click.option(
    "--fuse",
    type=click.Choice([str(rules) for rules in Rules]),
    default=str(Rules.NONE),
    show_default=True,
    help="Nodes that run as one kernel: none as in eager engines, known patterns, or the least traffic.",
)
@click.option("--csv", "table_file", type=PATH, help="Write the comparison here.")
@click.option("--check", "trace", type=PATH, help="A trace of `run --trace`: predicted beside measured.")
@click.option("--depth", type=click.IntRange(1), default=3, show_default=True, help="Steps of a module's path.")
@other_capture_options
@json_option
def profile(models: tuple[str, ...], several: bool, as_json: bool, **given: Any) -> None:
    """Count a model's MACs, FLOPs, parameters and bytes; predict its time and energy on devices.

    A MODEL is what every verb takes, or a name such as resnet50, vit_b16, bert_base, gpt2, llama_8b.

    \b
    Example:  partwise profile resnet50.onnx --hardware h100-pcie
              partwise profile --models resnet18 mobilenet_v2 --hardware all --csv table.csv
              partwise profile vit_b16 --hardware a100,rtx4090 --batch 1,8,64
              partwise profile llama-8b/ --no-weights --hardware rtx4090 --sequence 99 --phase decode
    """
    del several  # the models follow it as arguments; one model needs no flag
    hardware, price, depth, file = (given.pop(name) for name in ("hardware", "price", "depth", "table_file"))
    estimator, fuse, trace = (given.pop(name) for name in ("estimator", "fuse", "trace"))
    batches, sequences = given.pop("batches"), given.pop("sequences")
    stage = _stage(given.pop("phase"), given.pop("logits"), sequences)
    check_parent(file)
    known = api.devices([name for text in hardware for name in text.split(",")])
    if price is not None and not known:
        raise InputError("--price", "is of a device, and no device is named", hint="add --hardware NAME.")
    if file is not None and not known:
        raise InputError("--csv", "compares devices, and no device is named", hint="add --hardware NAME or all.")
    options = take_capture_options(given | {"batch": None, "sequence": None})
    counted = [
        found for model in models for found in _counted(model, options, batches or (None,), sequences or (None,), stage)
    ]
    rows = [
        _row(name, found, device, api.estimate_counted(graph, found, device, estimator, fuse), price)
        for name, graph, found in counted
        for device in known
    ]
    checked = None if trace is None else _checked(trace, counted, rows)
    if file is not None:
        write_whole(file, csv_text(rows).encode())
    if as_json:
        print_json(_data(counted, rows, checked, stage))
    else:
        _show(counted, rows, depth, known)
        if stage is not None:
            show_key_values(counted)
        if len(rows) == 1 or (batches is not None and len(batches) > 1):
            show_parallelism(_parallelism(counted, known))
        if checked is not None:
            show_check(checked)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A phase of a language model."""

    phase: Phase
    logits: Logits


def _stage(phase: str | None, logits: str, sequences: Sequence[int] | None) -> _Stage | None:
    if phase is None:
        if logits != Logits.ALL:
            raise InputError("--logits", "is of a phase, and none is named", hint="add --phase prefill.")
        return None
    if sequences is None:
        raise InputError("--phase", "needs --sequence: how many tokens are there")
    return _Stage(Phase(phase), Logits(logits))


def _counted(
    model: str,
    options: CaptureOptions,
    batches: Sequence[int | None],
    sequences: Sequence[int | None],
    stage: _Stage | None,
) -> Iterator[Counted]:
    """One capture, counted at every pair of sizes."""
    options = replace(options, weights=options.weights and model not in ZOO)
    if stage is not None:
        if options.static:
            raise InputError("--static", "fixes every size, and a phase is a choice of sizes")
        options = replace(options, cache=max(size or 1 for size in sequences))
    if options.static:
        if len(batches) > 1 or len(sequences) > 1:
            raise InputError("--static", "fixes every size, so there is none to sweep")
        options = replace(options, batch=batches[0], sequence=sequences[0])
    with timed(f"{model} captured"):
        graph = api.capture_with(model, options)
    for batch in batches:
        for sequence in sequences:
            yield (
                Path(model).name,
                graph,
                api.profile(graph, _sizes(graph, batch, sequence, options.static, stage)),
            )


def _sizes(graph: Graph, batch: int | None, sequence: int | None, static: bool, stage: _Stage | None) -> dict[str, int]:
    """Values of the graph's symbols.

    Raises:
        InputError: a size that the graph has fixed at another value.
    """
    if stage is not None:
        return phase_sizes(graph, stage.phase, sequence or 1, batch or 1, stage.logits)
    asked = {"batch": batch, "sequence": sequence}
    given = {name: value for name, value in asked.items() if value is not None and not static}
    if unknown := [name for name in given if name not in graph.hints]:
        listed = ", ".join(graph.hints) or "none"
        raise InputError(
            f"--{unknown[0]}", "is no symbol of this graph: its size is fixed", expected=f"one of: {listed}"
        )
    return given


def _parallelism(counted: Sequence[Counted], known: Sequence[Device]) -> list[tuple[str, ...]]:
    """Of each model how much can run at once, and the batch at which each device is full."""
    found: list[tuple[str, ...]] = []
    for name, (graph, first) in {name: (graph, first) for name, graph, first in reversed(counted)}.items():
        shape = concurrency(graph, first)
        for device in known:
            threads = resident_threads(device)
            full = saturating_batch(graph, threads, share=FULL) if threads and "batch" in graph.hints else None
            figures = (len(shape.groups), len(shape.critical_path), shape.most_parallel)
            found.append((name, device.name, *map(str, figures), "-" if full is None else str(full)))
    return found


def _checked(trace: Path, counted: Sequence[Counted], rows: Sequence[Row]) -> Comparison:
    if len(rows) != 1:
        raise InputError("--check", "is of one model on one device", got=f"{len(rows)} predictions")
    try:
        data = trace.read_bytes()
    except OSError as error:
        raise InputError(str(trace), f"cannot be read ({error.strerror})") from None
    return compare(parse_trace(data, str(trace)), counted[0][1], rows[0].estimate)


def _row(name: str, found: Profile, device: Device, made: Estimate, price: float | None) -> Row:
    cost = price if price is not None else device.price_usd_per_hour
    return Row(name, found, device, made, None if cost is None else made.usd_per_1000(cost))


def _data(
    counted: Sequence[Counted], rows: Sequence[Row], checked: Comparison | None, stage: _Stage | None
) -> dict[str, Any]:
    """The record; of one model as it was before there were several, with what it takes on devices."""
    profiles = [
        msgspec.to_builtins(found)
        | {"model": name, "macs": found.macs, "flops": found.flops, "traffic_bytes": found.traffic_bytes}
        | {"unknown": msgspec.to_builtins(found.unknown)}
        | ({} if stage is None else _moved(stage, graph, found))
        for name, graph, found in counted
    ]
    first = profiles[0] if len(profiles) == 1 else {"profiles": profiles}
    found = {} if checked is None else {"check": msgspec.to_builtins(checked) | {"error": checked.error}}
    return first | {"estimates": [row.as_data() for row in rows]} | found


def _moved(stage: _Stage, graph: Graph, found: Profile) -> dict[str, Any]:
    return {"phase": stage.phase, "key_values": msgspec.to_builtins(key_value_traffic(graph, found))}


def _show(counted: Sequence[Counted], rows: Sequence[Row], depth: int, known: Sequence[Device]) -> None:
    for name, _, found in counted:
        show_unknown(name, found)
    if len(rows) == 1:
        show_estimate(rows[0], depth)
    elif known:
        show_comparison(rows)
    else:
        for _, _, found in counted:
            show_profile(found, depth)
