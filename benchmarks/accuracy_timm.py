"""How far predicted latencies are from timm's published throughputs (Apache-2.0), beside a regression on its columns.

The graphs come from `timm_graphs.py`. A tenth of the models calibrates seven shares and the launches of a device; the
models of other families test them. The same split fits `t = a·GMAC + b·Mact + c/batch`, the regression on the table's
own columns. Several seeds; errors are medians of |predicted ÷ measured − 1|. Prints a table, writes
`docs/data/accuracy_timm.json`.

    python benchmarks/accuracy_timm.py --data timm/ --graphs graphs/
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import exp, log
from pathlib import Path

from scipy.optimize import minimize
from scipy.stats import spearmanr
from timm_eager import autocast, from_input, without_dropouts

from partwise.hardware import Device, DeviceKind, arithmetic_share, find_device, launch_seconds, memory_share
from partwise.ir import Graph, Kind, graph_from_data
from partwise.profiling import Cost, Group, Profile, Rules, estimate, fuse, node_groups, profile
from partwise.profiling.fusion_flow import Flow, Unit

RESULT = Path(__file__).parent.parent / "docs" / "data" / "accuracy_timm.json"
TABLES = {
    "rtx4090": ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv", 0.12),
    "rtx3090": ("benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv", 0.12),
    "i9-10940x": ("benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv", 0.20),
}
SHARES = ("memory", "matmul", "batched", "attention", "conv", "grouped", "vector")
CALLS = (Kind.CONV, Kind.MATMUL, Kind.ATTENTION)
"""Whose kernels are a library's."""
LAUNCHES = {DeviceKind.CPU: ("launch_s", "conv_launch_s")}
"""On a CPU a convolution has a launch of its own, as `partwise calibrate` measures one there: a call of a library that
prepares its layouts, beside loops that a compiler wrote."""
SEEDS = 10
CAUTION = 0.1
"""What leaving a share's default by a factor of e must gain in mean error: a dozen models do not tell all seven."""


@dataclass
class Sample:
    """One row of a table with its graph."""

    model: str
    family: str
    profile: Profile
    groups: tuple[tuple[Group, int], ...]
    """Kernels that differ, each with how often it runs: nodes, or fused ones where the table was measured with a
    compiler."""
    seconds: float
    """Of the batch."""
    columns: tuple[float, float, float]
    """GMAC, millions of activations and 1/batch of a sample."""

    @property
    def batch(self) -> float:
        return 1 / self.columns[2]

    def on(self, device: Device) -> float:
        """Predicted seconds of the batch."""
        rows = estimate(self.profile, device, [group for group, _ in self.groups]).groups
        return sum(row.seconds * times for row, (_, times) in zip(rows, self.groups, strict=True))


def at_batch(graph: Graph, counted: Profile, scale: Fraction) -> Profile:
    """The counts at another batch: what comes of the input grows with it, weights and what comes of them do not."""
    grows = from_input(graph)

    def scaled(cost: Cost) -> Cost:
        if not grows.intersection(graph.nodes[cost.node].outputs):
            return cost
        products = tuple(
            replace(p, batch=int(p.batch * scale))
            if cost.kind == "attention" or (cost.kind == "matmul" and p.batch > 1)
            else replace(p, rows=max(1, int(p.rows * scale)))
            for p in cost.products
        )
        return replace(
            cost,
            macs=int(cost.macs * scale),
            input_bytes=int(cost.input_bytes * scale),
            output_bytes=int(cost.output_bytes * scale),
            products=products,
            parallelism=replace(cost.parallelism, batch=max(1, int(cost.parallelism.batch * scale))),
        )

    return replace(counted, nodes=tuple(map(scaled, counted.nodes)))


def compiled(graph: Graph, counted: Profile, scale: float) -> tuple[Group, ...]:
    """Kernels of a compiler for CPUs, their activations at another batch.

    Contractions are calls of libraries; what lies between them is merged. A convolution's weight is laid out in blocks
    at every run: read, written, read again. Source: torch 2.4, `torch/_inductor/config.py` (`freezing` is off),
    `torch/_inductor/fx_passes/mkldnn_fusion.py` (packs weights and merges into contractions only where it is on);
    oneDNN, "Memory format propagation".
    """
    flow = Flow(graph, counted)
    found = concatenations(flow)
    cats = {unit.nodes[0] for unit in found}
    for unit in fuse(graph, counted, rules=Rules.OPTIMAL).units:
        calls = [node for node in unit.nodes if counted.nodes[node].kind in CALLS]
        rest = tuple(node for node in unit.nodes if node not in calls and node not in cats)
        found += [flow.unit((node,)) for node in calls] + ([flow.unit(rest)] if rest else [])
    laid_out = {cost.node: 2 * cost.weight_bytes for cost in counted.nodes if cost.kind is Kind.CONV}
    return tuple(
        replace(
            unit,
            input_bytes=round(unit.input_bytes * scale),
            output_bytes=round(unit.output_bytes * scale),
            weight_bytes=unit.weight_bytes + sum(laid_out.get(node, 0) for node in unit.nodes),
        )
        for unit in found
    )


def concatenations(flow: Flow) -> list[Unit]:
    """What a compiler for CPUs does of concatenations: the result lies in memory, and its readers read it there.

    A pointwise argument is written to its place at once, by the first concatenation that takes it; what a library, a
    view or another concatenation gives is copied. Source: torch 2.4, `torch/_inductor/lowering.py` (`cat`: on CPUs
    never pointwise) and `torch/_inductor/ir.py` (`ConcatKernel.realize_into`).
    """
    cats = [index for index in flow.working if flow.graph.nodes[index].op == "aten.cat.default"]
    found, taken = list[Unit](), set[str]()
    for cat in cats:
        copied = 0
        for root, tensor in flow.reads[cat]:
            maker = flow.maker.get(root)
            is_call = maker is None or maker in cats or flow.profile.nodes[maker].kind in CALLS
            copied += flow.size[tensor] if is_call or root in taken or tensor != root else 0
            taken.add(root)
        found.append(Unit(nodes=(cat,), input_bytes=copied, output_bytes=copied, weight_bytes=0))
    return found


def distinct(counted: Profile, groups: Iterable[Group]) -> tuple[tuple[Group, int], ...]:
    """Groups with equal counts once, with how many there are: layers repeat."""
    first, times = dict[object, Group](), Counter[object]()
    for group in groups:
        costs = tuple(replace(counted.nodes[node], node=0, module="") for node in group.nodes)
        key = (costs, group.input_bytes, group.output_bytes, group.weight_bytes)
        first.setdefault(key, group)
        times[key] += 1
    return tuple((group, times[key]) for key, group in first.items())


def read(folder: Path, graphs: Path, device: str) -> list[Sample]:
    """The rows of a table whose graph is there."""
    table, _ = TABLES[device]
    found: list[Sample] = []
    with (folder / table).open() as file:
        for row in csv.DictReader(file):
            path = graphs / f"{row['model']}@{row['infer_img_size']}.json"
            if not path.exists():
                continue
            data, batch = json.loads(path.read_text()), int(row["infer_batch_size"])
            graph = graph_from_data(without_dropouts(data["graph"]))
            first = profile(graph)
            scale = Fraction(batch, data["batch"])
            counted = at_batch(graph, first, scale)
            if "amp" in table:
                counted = autocast(graph, counted, scale, channels_last="nhwc" in table)
            groups = compiled(graph, first, float(scale)) if "dynamo" in table else node_groups(counted)
            columns = (float(row["infer_gmacs"]), float(row["infer_macts"]), 1 / batch)
            seconds = batch / float(row["infer_samples_per_sec"])
            found.append(Sample(row["model"], data["family"], counted, distinct(counted, groups), seconds, columns))
    return found


def loss(predictions: Sequence[float], samples: Sequence[Sample]) -> float:
    """Mean |log(predicted ÷ measured)|: as robust as a median against single models, and smooth enough to fit."""
    return statistics.fmean(
        abs(log(max(made, 1e-9) / sample.seconds)) for made, sample in zip(predictions, samples, strict=True)
    )


def calibrate(device: Device, samples: Sequence[Sample]) -> Callable[[Sample], float]:
    """A prediction with seven shares and the launches of these samples: from the default, one figure after another."""
    start = {"memory": memory_share(device), "vector": 1.0}
    start |= {name: arithmetic_share(device, name) for name in SHARES if name not in start}
    launches = LAUNCHES.get(device.kind, ("launch_s",))
    known = replace(device, efficiency=start, **dict.fromkeys(launches, launch_seconds(device)))

    def cost(tried: Device) -> float:
        made = loss([s.on(tried) for s in samples], samples)
        moved = [abs(log(tried.efficiency[name] / start[name])) for name in SHARES]
        return made + CAUTION * sum(moved)

    best = cost(known)
    for step in (1.6, 1.25, 1.1):
        for _ in range(3):
            before = best
            for name in (*SHARES, *launches):
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
    if name.endswith("launch_s"):
        return replace(device, **{name: getattr(device, name) * factor})
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
    return error, float(spearmanr([made for made, _ in rates], [true for _, true in rates]).statistic)  # pyright: ignore[reportAttributeAccessIssue]


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
    for device, (_, limit) in TABLES.items():
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
