"""What two stages on two cores gain: ResNet-50, one image at a time, by each engine, against two uncut replicas.

The model is planned as a user would plan it: on this machine, calibrated at one thread (`partwise calibrate`).
Everything of one engine is measured in turns (`partwise.measurement`), so the shares hold on a shared machine; the
rates are those of the machine that is named. Prints a table and writes `docs/data/runtime.json`.

    python benchmarks/runtime.py [--seconds 5] [--rounds 5] [--engines torch,onnxruntime,openvino,compile] [-o FILE]

Targets: rate ÷ ceiling of the best executor ≥ 0.90 with torch and onnxruntime, ≥ 0.88 with OpenVINO; torch eager
≥ 1.4 × uncut on two threads; the predicted rate of the best executor within 10 % of the measured one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers

import partwise
from partwise.calibration import calibrate
from partwise.freed_memory import keep_freed
from partwise.frontends import CaptureOptions, open_model
from partwise.hardware import REFERENCE_LINK, Cluster, equal_devices
from partwise.measurement import Arrangement, Bench, Settings, bench_package
from partwise.packaging import Package

STAGES = 2
ENGINES = ("torch", "onnxruntime", "openvino", "compile")
CEILING = {"torch": 0.90, "onnxruntime": 0.90, "openvino": 0.88}
UNCUT = {"torch": 1.4}
PREDICTED = 0.10
RESULT = Path(__file__).parent.parent / "docs" / "data" / "runtime.json"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One engine's best executor against its targets; None where there is none."""

    engine: str
    executor: str
    per_s: float
    of_ceiling: float
    ceiling_target: float | None
    of_uncut: float
    uncut_target: float | None
    prediction_error: float
    """Of the rate predicted from lone stages."""
    plan_error: float | None
    """Of the rate that the plan promised before anything ran: 1 ÷ its slowest stage."""

    @property
    def is_met(self) -> bool:
        """Whether all of its targets are."""
        return (
            self.of_ceiling >= (self.ceiling_target or 0)
            and self.of_uncut >= (self.uncut_target or 0)
            and abs(self.prediction_error) <= PREDICTED
        )


def resnet50() -> tuple[Any, dict[str, Any]]:
    """ResNet-50 as published, one image of 224 × 224, random weights."""
    torch.manual_seed(0)
    module = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000))  # pyright: ignore[reportCallIssue]
    return module.eval(), {"pixel_values": torch.randn(1, 3, 224, 224)}


def this_machine(engine: str) -> Cluster:
    """As many processors like this one as there are stages, each of one thread."""
    device, _ = calibrate(engine, threads=1)
    return equal_devices(device, REFERENCE_LINK)


def packages(engines: tuple[str, ...], folder: Path) -> dict[str, Package]:
    """The model in two stages for each engine: torch's graph, ONNX as onnxruntime optimizes it, ONNX as exported."""
    module, inputs = resnet50()
    found: dict[str, Package] = {}
    if {"torch", "compile"} & set(engines):
        graph = partwise.capture(module, inputs, static=True)
        plan = partwise.plan(graph, stages=STAGES, cluster=this_machine("torch"))
        found |= dict.fromkeys(("torch", "compile"), partwise.cut(module, plan, folder / "torch", check=False))
    if {"onnxruntime", "openvino"} & set(engines):
        file = folder / "resnet50.onnx"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (), file, kwargs=inputs, dynamo=True, verbose=False)
        here = this_machine("onnxruntime")
        for engine, level in (("onnxruntime", "all"), ("openvino", "off")):
            graph = open_model(file, CaptureOptions(optimize=level)).capture()
            plan = partwise.plan(graph, stages=STAGES, cluster=here)
            found[engine] = partwise.cut(str(file), plan, folder / engine, check=False)
    return {engine: found[engine] for engine in engines}


def best(bench: Bench) -> Arrangement:
    """The executor nearest to the ceiling."""
    return max(bench.arrangements, key=lambda found: found.of_ceiling or 0.0)


def row(engine: str, bench: Bench) -> Row:
    """An engine's figures beside its targets."""
    found = best(bench)
    assert found.of_ceiling is not None
    assert found.of_uncut is not None
    assert found.predicted_per_s is not None
    planned = [stage.planned_s for stage in found.stages if stage.planned_s]
    return Row(
        engine=engine,
        executor=found.executor,
        per_s=found.per_s,
        of_ceiling=found.of_ceiling,
        ceiling_target=CEILING.get(engine),
        of_uncut=found.of_uncut,
        uncut_target=UNCUT.get(engine),
        prediction_error=found.predicted_per_s / found.per_s - 1,
        plan_error=1 / max(planned) / found.per_s - 1 if planned else None,
    )


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| engine | best executor | frames/s | ÷ ceiling | at least | ÷ uncut | at least | predicted | planned | met |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        targets = [f"{target}" if target is not None else "-" for target in (r.ceiling_target, r.uncut_target)]
        shares = f"{r.of_ceiling:.3f} | {targets[0]} | {r.of_uncut:.2f} | {targets[1]} | {r.prediction_error:+.1%}"
        shares += f" | {r.plan_error:+.1%}" if r.plan_error is not None else " | -"
        lines.append(f"| {r.engine} | {r.executor} | {r.per_s:.2f} | {shares} | {'yes' if r.is_met else 'no'} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    given = parser.parse_args()
    keep_freed()  # as `partwise bench`, the stages' processes and the uncut replicas do
    benches: dict[str, Bench] = {}
    with tempfile.TemporaryDirectory() as folder:
        for engine, package in packages(tuple(given.engines.split(",")), Path(folder)).items():
            settings = Settings(engine=engine, threads=1, seconds=given.seconds, rounds=given.rounds)
            benches[engine] = bench_package(package, settings)
            print(table([row(engine, benches[engine])]), flush=True)
    rows = [row(engine, bench) for engine, bench in benches.items()]
    print(table(rows))
    data = {"rows": [asdict(r) for r in rows], "benches": msgspec.to_builtins(benches)}
    given.output.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
