"""`partwise calibrate`: this machine → an entry of hardware."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from partwise.calibration import calibrate as measure
from partwise.calibration import entry_text
from partwise.cli.option_types import THREADS
from partwise.cli.options import PATH, check_parent, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.tables import console, table
from partwise.files import write_whole
from partwise.hardware import Device
from partwise.runtime.threads import default_threads
from partwise.units import format_seconds

__all__ = ["calibrate"]


@click.command()
@click.option("-o", "--output", type=PATH, help="Write the entry here, as TOML.")
@click.option("--engine", type=click.Choice(["torch", "onnxruntime"]), default="torch", show_default=True)
@click.option("--threads", type=THREADS, help="Of every operator; by default those of a run.")
@click.option("--name", default="here", show_default=True, help="Of the entry.")
@json_option
def calibrate(output: Path | None, engine: str, threads: int | None, name: str, as_json: bool) -> None:
    """Time operators on this machine, and make a hardware entry of them, with error bars.

    It takes less than a minute and times no model. The entry is what `profile --hardware` reads.

    \b
    Example:  partwise calibrate -o here.toml
              partwise profile resnet50 --hardware here.toml --batch 1
    """
    check_parent(output)
    with counted("calibrated") as progress:
        device, timed = measure(engine, threads or default_threads(), name, progress)
    if output is not None:
        write_whole(output, entry_text(device).encode())
    if as_json:
        print_json(
            {"device": msgspec.to_builtins(device)}
            | {"timed": [{"operator": row.case.name, "seconds": row.seconds} for row in timed]}
        )
    elif output is None:
        click.echo(entry_text(device), nl=False)
    else:
        _show(device)


def _show(device: Device) -> None:
    rows = [
        (figure, f"{share:.3f}", f"± {device.spread[figure]:.0%}" if figure in device.spread else "default")
        for figure, share in device.efficiency.items()
    ]
    rows.append(("launch", format_seconds(device.launch_s or 0.0), ""))
    rows.append(("launch of a convolution", format_seconds(device.conv_launch_s or 0.0), ""))
    title = f"{device.title}: {device.flops_per_s / 1e9:.0f} GFLOP/s stated, {device.memory_bytes_per_s / 1e9:.0f} GB/s"
    console().print(table(title, ("share of the stated rate", "reached", "spread"), rows))
