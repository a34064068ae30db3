"""`partwise profile`: graph → profile, and what it takes on devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from partwise import api
from partwise.calibration import Comparison, MeasuredTrace, compare, parse_trace
from partwise.cli.counting import Counted, PhaseAsked, counted_models, take_sizes
from partwise.cli.option_types import Devices, Finite, Sizes
from partwise.cli.options import PATH, check_parent, json_option, other_capture_options, take_capture_options
from partwise.cli.output import print_json
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
    saturating_batch,
)

__all__ = ["profile"]

FULL = 0.95
"""Share of a device's threads that has work when it counts as saturated."""


@click.command()
@click.argument("models", metavar="MODEL", nargs=-1, required=True)
@click.option("--models", "several", is_flag=True, help="Compare the models that follow.")
@click.option("--hardware", multiple=True, type=Devices(), help="Of the catalog, `all`, or a TOML file; repeatable.")
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
@click.option("--price", type=Finite(0, min_open=True), help="Of the device, in $ an hour.")
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
    asked = take_sizes(*(given.pop(name) for name in ("batches", "sequences", "phase", "logits")))
    check_parent(file)
    measured = None if trace is None else _read(trace)
    known = api.devices([name for text in hardware for name in text.split(",")])
    if price is not None and not known:
        raise InputError("--price", "is of a device, and no device is named", hint="add --hardware NAME.")
    if file is not None and not known:
        raise InputError("--csv", "compares devices, and no device is named", hint="add --hardware NAME or all.")
    options = take_capture_options(given | {"batch": None, "sequence": None})
    counted = list(counted_models(models, options, asked))
    rows = [
        _row(name, found, device, api.estimate_counted(graph, found, device, estimator, fuse), price)
        for name, graph, found in counted
        for device in known
    ]
    checked = None if measured is None else _checked(measured, counted, rows)
    if file is not None:
        write_whole(file, csv_text(rows).encode())
    if as_json:
        print_json(_data(counted, rows, checked, asked.phase))
    else:
        _show(counted, rows, depth, known)
        if asked.phase is not None:
            show_key_values(counted)
        if len(rows) == 1 or len(asked.batches) > 1:
            show_parallelism(_parallelism(counted, known))
        if checked is not None:
            show_check(checked)


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


def _read(trace: Path) -> MeasuredTrace:
    try:
        data = trace.read_bytes()
    except OSError as error:
        raise InputError(str(trace), f"cannot be read ({error.strerror})") from None
    return parse_trace(data, str(trace))


def _checked(trace: MeasuredTrace, counted: Sequence[Counted], rows: Sequence[Row]) -> Comparison:
    if len(rows) != 1:
        raise InputError("--check", "is of one model on one device", got=f"{len(rows)} predictions")
    return compare(trace, counted[0][1], rows[0].estimate)


def _row(name: str, found: Profile, device: Device, made: Estimate, price: float | None) -> Row:
    cost = price if price is not None else device.price_usd_per_hour
    return Row(name, found, device, made, None if cost is None else made.usd_per_1000(cost))


def _data(
    counted: Sequence[Counted], rows: Sequence[Row], checked: Comparison | None, phase: PhaseAsked | None
) -> dict[str, Any]:
    """The record; of one model as it was before there were several, with what it takes on devices."""
    profiles = [
        msgspec.to_builtins(found)
        | {"model": name, "macs": found.macs, "flops": found.flops, "traffic_bytes": found.traffic_bytes}
        | {"unknown": msgspec.to_builtins(found.unknown)}
        | ({} if phase is None else _moved(phase, graph, found))
        for name, graph, found in counted
    ]
    first = profiles[0] if len(profiles) == 1 else {"profiles": profiles}
    found = {} if checked is None else {"check": msgspec.to_builtins(checked) | {"error": checked.error}}
    return first | {"estimates": [row.as_data() for row in rows]} | found


def _moved(phase: PhaseAsked, graph: Graph, found: Profile) -> dict[str, Any]:
    return {"phase": phase.phase, "key_values": msgspec.to_builtins(key_value_traffic(graph, found))}


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
