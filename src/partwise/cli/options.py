"""Options that several verbs share, and what they mean as `CaptureOptions`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from partwise.cli.option_types import AUTO, THREADS, BatchSize, Bytes, Finite, Objectives, Size, Stages
from partwise.errors import InputError
from partwise.frontends import CaptureOptions
from partwise.plan_files import read_cluster, read_constraints
from partwise.planning import SOLVERS
from partwise.runtime import DIFFERENCE_LIMIT

__all__ = [
    "PATH",
    "capture_options",
    "check_parent",
    "json_option",
    "max_difference_option",
    "model_argument",
    "optional_model_argument",
    "other_capture_options",
    "plan_options",
    "planned_capture_options",
    "run_options",
    "take_batch",
    "take_capture_options",
    "take_plan_options",
    "take_run_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


def json_option(command: Command) -> Command:
    """`--json`: print the record itself."""
    return click.option("--json", "as_json", is_flag=True, help="Print the record itself as JSON.")(command)


def model_argument(command: Command) -> Command:
    """The model: a path, a hub name or `package.module:function`; as an argument or behind `--model`."""

    @wraps(command)
    def required(*args: Any, model: str | None, **given: Any) -> Any:
        if model is None:
            raise click.UsageError("Missing argument 'MODEL'.")
        return command(*args, model=model, **given)

    return optional_model_argument(cast(Command, required))


def optional_model_argument(command: Command) -> Command:
    """The same for a verb that can do without: None where no model is named."""

    @wraps(command)
    def chosen(*args: Any, model: str | None, named_model: str | None, **given: Any) -> Any:
        if model is not None and named_model is not None:
            raise click.UsageError(f"two models: {model} and --model {named_model}")
        return command(*args, model=model if named_model is None else named_model, **given)

    named = click.option("--model", "named_model", metavar="MODEL", help="The model, in place of the argument.")
    return click.argument("model", type=click.Path(), required=False)(named(cast(Command, chosen)))


_BATCH = click.option("--batch", type=click.IntRange(1), help="Batch size of the example inputs.")
_BATCH_OR_AUTO = click.option("--batch", type=BatchSize(), help="Of a plan; `auto`: with the most requests a second.")
_SEQUENCE = click.option("--sequence", type=click.IntRange(1), help="Tokens of the example inputs.")
_CAPTURE = (
    click.option("--image-size", type=click.IntRange(1), help="Height and width of example images."),
    click.option("--dtype", help="Type of the weights, for example bfloat16; by default the config's."),
    click.option("--task", help="Hugging Face: the class to build; by default the one its config names."),
    click.option("--static", is_flag=True, help="Fix every size; by default batch and sequence stay symbols."),
    click.option("--no-weights", is_flag=True, help="Never read the weights' values."),
    click.option(
        "--optimize",
        type=click.Choice(["off", "basic", "extended", "all"]),
        help="ONNX: level of the engine's optimizer, once for the whole model (default: all).",
    ),
    click.option("--config", type=PATH, help="Hugging Face config for a file of weights."),
    click.option("--module", help="package.module:function that builds the module for a file of weights."),
)
_PLAN = (
    click.option("--memory", type=Bytes(), help="Memory of a device, for example 12GiB."),
    click.option("--stages", type=Stages(), help="Exactly so many stages; with `plan --pareto` also 2..12."),
    click.option("--max-parameters", type=click.IntRange(1), help="Parameters of a stage at most."),
    click.option("--max-layers", type=click.IntRange(1), help="Layers of a stage at most."),
    click.option("--cache", type=click.IntRange(1), help="Tokens of each sequence whose K/V a stage has room for."),
    click.option("--sequences", type=click.IntRange(1), help="So many under way at once (by default: the batch)."),
    click.option("--overhead", type=Bytes(), help="What an engine takes for itself, for example 400MiB."),
    click.option(
        "--objective",
        type=Objectives(),
        help="What is made small: stages, traffic, balance, throughput, latency, energy …; several in order as "
        "stages,traffic, or weighted as 0.7*throughput+0.3*traffic.",
    ),
    click.option("--cluster", type=PATH, help="TOML file of devices and links (by default: equal devices, as needed)."),
    click.option("--constraints", type=PATH, help="TOML file: what runs where, what stays together, what is not cut."),
    click.option(
        "--solver",
        type=click.Choice(["auto", *SOLVERS]),
        default="auto",
        help="By default one that fits.",
    ),
    click.option("--effort", type=click.IntRange(1), help="Steps of the solver: orders tried, ideals looked at."),
)
max_difference_option = click.option(
    "--max-difference",
    type=Finite(0),
    default=DIFFERENCE_LIMIT,
    show_default=True,
    help="How far an engine without an exact way may be, over an output's largest value.",
)
_INPUT = click.option("--input", "inputs", type=PATH, help="An .npz or .json file, or a folder of them.")
_RUN = (
    _INPUT,
    click.option(
        "--executor",
        type=click.Choice(["processes", "in-process", "ray"]),
        default="processes",
        show_default=True,
        help="One process a stage, all in this one, or the workers of a cluster.",
    ),
    click.option("--address", metavar="HOST:PORT", help="Of the cluster, with --executor ray (see `worker`)."),
    click.option("--engine", help="By default the one it was cut for; per stage as torch,compile or 1=openvino:GPU."),
    max_difference_option,
    click.option("--threads", type=THREADS, help="Threads of each stage's engine."),
    click.option("--in-flight", type=click.IntRange(1), help="Requests of a stream under way at once."),
    click.option("--size", "sizes", multiple=True, type=Size(), help="Of random inputs, as batch=4; repeatable."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random inputs."),
    click.option("--run-dir", type=PATH, help="Where run_<n>/ is left (default: run/ beside the package)."),
)


def capture_options(command: Command) -> Command:
    """How a model is captured."""
    return _all((_BATCH, _SEQUENCE, *_CAPTURE), command)


def planned_capture_options(command: Command) -> Command:
    """The same for a verb that may choose the batch by itself."""
    return _all((_BATCH_OR_AUTO, _SEQUENCE, *_CAPTURE), command)


def other_capture_options(command: Command) -> Command:
    """The same without the sizes, for a verb that takes several of them."""
    return _all(_CAPTURE, command)


def plan_options(command: Command) -> Command:
    """Limits and objectives."""
    return _all(_PLAN, command)


def run_options(command: Command) -> Command:
    """What is run, and how."""
    return _all(_RUN, command)


def take_capture_options(given: dict[str, Any]) -> CaptureOptions:
    """Take the options of `capture_options` out of a verb's arguments."""
    config = given.pop("config")
    names = ("batch", "sequence", "image_size", "dtype", "task", "static", "optimize", "module")
    plain = {name: given.pop(name) for name in names}
    return CaptureOptions(weights=not given.pop("no_weights"), config=None if config is None else str(config), **plain)


def take_batch(given: dict[str, Any]) -> str | None:
    """`auto` where that was asked for, taken out of a verb's arguments: then no batch is asked for."""
    if given["batch"] != AUTO:
        return None
    if any(given.get(name) for name in ("static", "pareto", "phase", "prompt")):
        raise click.UsageError("--batch auto chooses a size of one plan: no --static, --pareto, --phase or --prompt.")
    given["batch"] = None
    return AUTO


def take_plan_options(given: dict[str, Any], *, allow_range: bool = False) -> dict[str, Any]:
    """Take the options of `plan_options` out of a verb's arguments, as arguments of `api.plan`."""
    if isinstance(given["stages"], range) and not allow_range:
        raise click.UsageError("--stages: a range is for `plan --pareto`; one plan has one number of stages.")
    found = {name: given.pop(name) for name in _PLAN_ARGUMENTS}
    if found["cluster"] is not None:  # read before any work
        found["cluster"] = read_cluster(found["cluster"])
    return found | {"constraints": read_constraints(found["constraints"])}


_PLAN_ARGUMENTS = (
    "memory", "stages", "max_parameters", "max_layers", "cache", "sequences", "overhead", "objective", "cluster",
    "constraints", "solver", "effort",
)  # fmt: skip


def take_run_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `run_options` out of a verb's arguments, as arguments of `api.run`."""
    sizes = dict(given.pop("sizes"))
    names = ("inputs", "executor", "address", "engine", "max_difference", "threads", "in_flight", "seed", "run_dir")
    return {"sizes": sizes} | {name: given.pop(name) for name in names}


def check_parent(path: Path | None) -> None:
    """Raise before any work where an output file cannot be written: no folder for it, or a folder in its place.

    Raises:
        InputError: which of them.
    """
    if path is None:
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError(str(path), "its folder does not exist", hint=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise InputError(str(path), "is a folder", expected="the name of a file")
    if not os.access(folder, os.W_OK) and not path.exists():
        raise InputError(str(path), "its folder cannot be written to")


def _all(options: tuple[Callable[[Any], Any], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
