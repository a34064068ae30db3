"""How far predicted latencies are from measured ones on this machine, after `calibrate`.

Calibration times operators alone, never a model. Models of the zoo are then predicted and timed on torch (eager) and
onnxruntime, at one and two threads, random weights. Prints a table and writes `docs/data/accuracy_here.json`.

    python benchmarks/accuracy_here.py [--models resnet18,minilm] [--rounds 10]

A machine that others use at the same time gives other times in each minute: the load is printed beside the result.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import transformers

import partwise
from partwise.calibration import calibrate
from partwise.freed_memory import keep_freed
from partwise.frontends.zoo import ZOO
from partwise.hardware import Device
from partwise.profiling import estimate, profile
from partwise.torch_arrays import to_numpy

RESULT = Path(__file__).parent.parent / "docs" / "data" / "accuracy_here.json"
MODELS = "resnet18 resnet50 mobilenet_v2 efficientnet_b0 convnext_tiny vit_b16 minilm bert_base gpt2".split()
TOKENS, LIMIT = 128, 0.15


@dataclass(frozen=True)
class Row:
    """One model on one engine."""

    model: str
    engine: str
    threads: int
    measured_s: float
    predicted_s: float

    @property
    def error(self) -> float:
        return self.predicted_s / self.measured_s - 1


def build(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """A model of the zoo with random weights, and one input."""
    config = dict(ZOO[name])
    kind = getattr(transformers, config.pop("architectures")[0])
    made = transformers.CONFIG_MAPPING[config.pop("model_type")](**config)
    made.use_cache = False
    if kind.main_input_name == "pixel_values":
        return kind(made).eval(), {"pixel_values": torch.randn(1, 3, 224, 224)}
    return kind(made).eval(), {"input_ids": torch.randint(0, 1000, (1, TOKENS))}


def median(call: Callable[[], object], rounds: int) -> float:
    """Median seconds of a call."""
    call()
    taken: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def rows_of(name: str, devices: dict[tuple[str, int], Device], rounds: int) -> list[Row]:
    """A model on every engine and number of threads."""
    module, inputs = build(name)
    graph, found = partwise.capture(module, inputs, static=True), list[Row]()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        torch.onnx.export(module, (), file, kwargs=inputs, dynamo=True, verbose=False)
        optimized = partwise.capture(str(file))
        arrays = {key: to_numpy(value) for key, value in inputs.items()}
        for (engine, threads), device in devices.items():
            if engine == "torch":
                torch.set_num_threads(threads)
                measured = median(lambda: module(**inputs), rounds)
            else:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = threads
                session = onnxruntime.InferenceSession(file, options)
                measured = median(lambda session=session: session.run(None, arrays), rounds)
            counted = profile(graph if engine == "torch" else optimized)
            found.append(Row(name, engine, threads, measured, estimate(counted, device).seconds))
    return found


def main() -> None:
    """Calibrate, predict, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    keep_freed()  # as `partwise calibrate` and every process that computes a stage
    load = os.getloadavg()[0]
    pairs = [(engine, threads) for engine in ("torch", "onnxruntime") for threads in (1, 2)]
    start = time.perf_counter()
    devices = {pair: calibrate(*pair)[0] for pair in pairs}
    took = time.perf_counter() - start
    rows = [row for name in given.models.split(",") for row in rows_of(name, devices, given.rounds)]
    print("| model | engine | threads | measured ms | predicted ms | error |\n" + "|---" * 6 + "|")
    for row in rows:
        figures = f"{row.measured_s * 1e3:.1f} | {row.predicted_s * 1e3:.1f} | {row.error:+.0%}"
        print(f"| {row.model} | {row.engine} | {row.threads} | {figures} |")
    errors = sorted(abs(row.error) for row in rows)
    quantiles = [errors[round(share * (len(errors) - 1))] for share in (0.1, 0.25, 0.5, 0.75, 0.9)]
    print(f"\n|error| at 10, 25, 50, 75, 90 %: {', '.join(f'{q:.0%}' for q in quantiles)}; median at most {LIMIT:.0%}")
    print(f"calibration of {len(pairs)} entries {took:.0f} s; load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    data = {"load": [load, os.getloadavg()[0]], "calibration_s": took, "quantiles": quantiles}
    data["entries"] = {f"{engine}-{threads}": dict(d.efficiency) for (engine, threads), d in devices.items()}
    RESULT.write_text(json.dumps(data | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
