"""How far predicted latencies are from timm's published throughputs (Apache-2.0), beside a regression on its columns.

The graphs come from `timm_graphs.py`. A tenth of the models calibrates seven numbers a device; the models of other
families test them. The same split fits `t = a·GMAC + b·Mact + c/batch`, the regression on the table's own columns.
Several seeds; errors are medians of |predicted ÷ measured − 1|. Prints a table, writes `docs/data/accuracy_timm.json`.

    python benchmarks/accuracy_timm.py --data timm/ --graphs graphs/
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path

from scipy.optimize import minimize
from scipy.stats import spearmanr

from partwise.hardware import Device, arithmetic_share, find_device, launch_seconds, memory_share
from partwise.ir import DType, Graph, graph_from_data
from partwise.profiling import Cost, Group, Profile, Rules, estimate, fuse, profile

RESULT = Path(__file__).parent.parent / "docs" / "data" / "accuracy_timm.json"
TABLES = {
    "rtx4090": ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv", "float16", 0.12),
    "rtx3090": ("benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv", "float16", 0.12),
    "i9-10940x": ("benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv", "float32", 0.20),
}
SHARES = ("memory", "matmul", "batched", "attention", "conv", "grouped", "vector")
SEEDS = 10
CAUTION = 0.1
"""What leaving a share's default by a factor of e must gain in mean error: a dozen models do not tell all seven."""


@dataclass
class Sample:
    """One row of a table with its graph."""

    model: str
    family: str
    profile: Profile
    groups: tuple[Group, ...] | None
    """Fused kernels, where the table was measured with a compiler."""
    seconds: float
    """Of the batch."""
    columns: tuple[float, float, float]
    """GMAC, millions of activations and 1/batch of a sample."""

    @property
    def batch(self) -> float:
        return 1 / self.columns[2]

    def on(self, device: Device) -> float:
        """Predicted seconds of the batch."""
        return estimate(self.profile, device, self.groups).seconds


def autocast(cost: Cost) -> tuple[float, float]:
    """What a node reads and writes under autocast, as multiples of the same in 16 bits, in a model with layer norms.

    A layer norm runs in float32, so the sums around it do too, and what reads it in 16 bits is handed a copy: 4 bytes
    read and 2 written more. Source: PyTorch, "CUDA ops that autocast to float32" (torch.amp documentation).
    """
    if "layer_norm" in cost.op:
        return 2.0, 2.0 + 3.0
    return (1.5, 2.0) if cost.op == "aten.add.Tensor" and not cost.weight_bytes else (1.0, 1.0)


def at_batch(counted: Profile, captured: int, batch: int, dtype: str) -> Profile:
    """The counts at another batch and type: activations and products grow with the batch, weights do not."""
    half = DType(dtype).bits / 32
    has_layer_norms = half < 1 and any("layer_norm" in cost.op for cost in counted.nodes)

    def scaled(cost: Cost) -> Cost:
        read, written = autocast(cost) if has_layer_norms else (1.0, 1.0)
        grown = tuple(
            replace(p, batch=p.batch * batch // captured)
            if cost.kind in ("attention",) or (cost.kind == "matmul" and p.batch > 1)
            else replace(p, rows=p.rows * batch // captured)
            for p in cost.products
        )
        threads = replace(cost.parallelism, batch=max(1, cost.parallelism.batch * batch // captured))
        return replace(
            cost,
            macs=cost.macs * batch // captured,
            input_bytes=round(cost.input_bytes * half * read * batch / captured),
            output_bytes=round(cost.output_bytes * half * written * batch / captured),
            weight_bytes=round(cost.weight_bytes * half),
            dtype=dtype if cost.dtype == "float32" else cost.dtype,
            products=grown,
            parallelism=threads,
        )

    return replace(counted, nodes=tuple(map(scaled, counted.nodes)))


def fused(graph: Graph, counted: Profile, scale: float) -> tuple[Group, ...]:
    """Kernels of a compiler that merges known patterns, their activations at another batch."""
    units = fuse(graph, counted, rules=Rules.PATTERNS).units
    return tuple(
        replace(unit, input_bytes=round(unit.input_bytes * scale), output_bytes=round(unit.output_bytes * scale))
        for unit in units
    )


def read(folder: Path, graphs: Path, device: str) -> list[Sample]:
    """The rows of a table whose graph is there."""
    table, dtype, _ = TABLES[device]
    found: list[Sample] = []
    with (folder / table).open() as file:
        for row in csv.DictReader(file):
            path = graphs / f"{row['model']}@{row['infer_img_size']}.json"
            if not path.exists():
                continue
            data, batch = json.loads(path.read_text()), int(row["infer_batch_size"])
            graph = graph_from_data(data["graph"])
            first = profile(graph)
            counted = at_batch(first, data["batch"], batch, dtype)
            groups = fused(graph, first, batch / data["batch"]) if "dynamo" in table else None
            columns = (float(row["infer_gmacs"]), float(row["infer_macts"]), 1 / batch)
            seconds = batch / float(row["infer_samples_per_sec"])
            found.append(Sample(row["model"], data["family"], counted, groups, seconds, columns))
    return found


def loss(predictions: Sequence[float], samples: Sequence[Sample]) -> float:
    """Mean |log(predicted ÷ measured)|: as robust as a median against single models, and smooth enough to fit."""
    return statistics.fmean(
        abs(log(max(made, 1e-9) / sample.seconds)) for made, sample in zip(predictions, samples, strict=True)
    )


def calibrate(device: Device, samples: Sequence[Sample]) -> Callable[[Sample], float]:
    """A prediction with seven shares and a launch time of these samples: from the default, one figure after another."""
    start = {"memory": memory_share(device), "vector": 1.0}
    start |= {name: arithmetic_share(device, name) for name in SHARES if name not in start}
    known = replace(device, efficiency=start, launch_s=launch_seconds(device))

    def cost(tried: Device) -> float:
        made = loss([s.on(tried) for s in samples], samples)
        moved = [abs(log(tried.efficiency[name] / start[name])) for name in SHARES]
        return made + CAUTION * sum(moved)

    best = cost(known)
    for step in (1.6, 1.25, 1.1):
        for _ in range(3):
            before = best
            for name in (*SHARES, "launch"):
                for factor in (step, 1 / step):
                    tried = _scaled(known, name, factor)
                    value = cost(tried)
                    if value < best:
                        known, best = tried, value
            if before - best < 1e-3:
                break
    final = known
    return lambda sample: sample.on(final)


def _scaled(device: Device, name: str, factor: float) -> Device:
    if name == "launch":
        return replace(device, launch_s=(device.launch_s or 0.0) * factor)
    return replace(device, efficiency={**device.efficiency, name: min(1.5, device.efficiency[name] * factor)})


def regress(samples: Sequence[Sample]) -> Callable[[Sample], float]:
    """`t = a·GMAC + b·Mact + c/batch` a sample, all three positive, by the same loss."""

    def predict(logs: Sequence[float], sample: Sample) -> float:
        return sample.batch * sum(exp(value) * column for value, column in zip(logs, sample.columns, strict=True))

    found = minimize(
        lambda logs: loss([predict(logs, s) for s in samples], samples),
        [log(1e-4), log(1e-5), log(1e-3)],
        method="Nelder-Mead",
        options={"maxiter": 3000, "fatol": 1e-6, "xatol": 1e-4},
    )
    return lambda sample: predict(found.x, sample)


def score(predict: Callable[[Sample], float], samples: Sequence[Sample]) -> tuple[float, float]:
    """Median error, and rank correlation of the rates."""
    ratios = [(predict(sample) / sample.seconds, sample) for sample in samples]
    error = statistics.median(abs(ratio - 1) for ratio, _ in ratios)
    rates = [(s.batch / (ratio * s.seconds), s.batch / s.seconds) for ratio, s in ratios]
    return error, float(spearmanr([made for made, _ in rates], [true for _, true in rates]).statistic)


def split(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """A tenth, and those of other families."""
    generator = random.Random(seed)
    tenth = generator.sample(list(samples), max(8, len(samples) // 10))
    families = {sample.family for sample in tenth}
    return tenth, [sample for sample in samples if sample.family not in families]


def main() -> None:
    """Calibrate and test on every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    print(
        "| device | models | families | error | rank | uncalibrated | regression | rank | at most |\n"
        + "|---" * 9
        + "|"
    )
    for device, (_, _, limit) in TABLES.items():
        samples, known = read(given.data, given.graphs, device), find_device(device)
        ours, theirs = list[tuple[float, float]](), list[tuple[float, float]]()
        for seed in range(given.seeds):
            tenth, rest = split(samples, seed)
            ours.append(score(calibrate(known, tenth), rest))
            theirs.append(score(regress(tenth), rest))
        plain = score(lambda sample, known=known: sample.on(known), samples)[0]
        mean = [statistics.fmean(values) for values in (*zip(*ours, strict=True), *zip(*theirs, strict=True))]
        families = len({sample.family for sample in samples})
        print(
            f"| {device} | {len(samples)} | {families} | {mean[0]:.1%} | {mean[1]:.3f} | {plain:.1%} | {mean[2]:.1%} | "
            f"{mean[3]:.3f} | {limit:.0%} |",
            flush=True,
        )
        rows.append(
            {"device": device, "models": len(samples), "families": families, "error": mean[0], "rank": mean[1]}
            | {"uncalibrated": plain, "regression": mean[2], "regression_rank": mean[3], "target": limit}
        )
    RESULT.write_text(json.dumps({"seeds": given.seeds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
