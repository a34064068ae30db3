"""How far predicted latencies are from published ones.

The data are NeuSight's (sitar-lab/NeuSight, MIT; "Forecasting GPU Performance for Deep Learning Training and
Inference", ASPLOS 2025): latencies of operators and of whole models, float32, torch 2.1, eager. The folder is not part
of the repository. Three ways to predict a model, none of which has seen a model's latency:

- datasheet: the catalog's figures and the constants of `partwise.hardware` and `partwise.profiling`;
- calibrated: three numbers a GPU from its operators (`accuracy_operators.calibrate`);
- left out: the medians of the other GPUs' three numbers, that of the bandwidth over those with the same family of
  memory, and no more FLOPs a joule of design power than the best of the others does in its products.

Error is the mean of |predicted ÷ measured − 1|. Prints tables; writes `docs/data/accuracy.json` and `.svg`.

    python benchmarks/accuracy.py --data neusight/
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path

from accuracy_graphs import graph
from accuracy_operators import calibrate, errors, read_rows
from scatter import scatter

from partwise.hardware import Device, find_device
from partwise.profiling import Group, Profile, estimate, node_groups, profile

RESULT = Path(__file__).parent.parent / "docs" / "data" / "accuracy.json"
DEVICES = {
    "NVIDIA_A100-PCIE-40GB": "a100-pcie-40gb",
    "NVIDIA_A100_80GB_PCIe": "a100-pcie-80gb",
    "Tesla_P100-PCIE-16GB": "p100",
    "Tesla_P4": "p4",
    "Tesla_T4": "t4",
    "Tesla_V100-PCIE-32GB": "v100",
    "AMD_Instinct_MI100": "mi100",
    "AMD_Instinct_MI210": "mi210",
    "AMD_Instinct_MI250": "mi250-die",
}
FIGURES = ("memory", "matmul", "batched")
TARGETS = {"datasheet, all": 0.14, "calibrated, NVIDIA": 0.09, "calibrated, without P4": 0.07, "left out, NVIDIA": 0.13}


@dataclass
class Label:
    """A measured model."""

    device: str
    model: str
    sequence: int
    batch: int
    option: str
    seconds: float
    neusight_s: float
    roofline_s: float
    predicted: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def is_nvidia(self) -> bool:
        return not self.device.startswith("AMD")


def read_labels(folder: Path) -> list[Label]:
    """The inference rows."""
    with (folder / "end_to_end.csv").open() as file:
        return [
            Label(
                line["device"],
                line["model_name"],
                int(line["seqlen"]),
                int(line["batch"]),
                line["option"],
                *(float(line[f"{who}_all_e2e_latency"] or "nan") / 1e3 for who in ("label", "neusight", "roofline")),
            )
            for line in csv.DictReader(file)
            if line["mode"] == "inf" and line["device"] in DEVICES
        ]


def groups(label: Label, counted: Profile) -> tuple[Group, ...]:
    """Every node a kernel; in the rows measured with fusion what is no contraction is part of one."""
    single = node_groups(counted)
    if label.option != "fusion":
        return single
    return tuple(group for group in single if counted.nodes[group.nodes[0]].products)


def left_out(calibrated: dict[str, Device], name: str) -> Device:
    """A device whose shares are the medians of the others', within what the others' power buys."""
    device, others = find_device(DEVICES[name]), [known for other, known in calibrated.items() if other != name]
    medians = {figure: statistics.median(other.efficiency[figure] for other in others) for figure in FIGURES}
    alike = [other for other in others if other.memory_type[:3] == device.memory_type[:3]]
    medians["memory"] = statistics.median(other.efficiency["memory"] for other in alike or others)
    for figure in ("matmul", "batched"):
        best = max(other.efficiency[figure] * other.flops_per_s / other.need("tdp_w", "a cap") for other in others)
        medians[figure] = min(medians[figure], best * device.need("tdp_w", "a cap") / device.flops_per_s)
    return replace(device, efficiency=medians)


def predict(labels: Sequence[Label], models: Path, devices: dict[str, dict[str, Device]]) -> None:
    """Write each way's prediction into the labels.

    Args:
        labels: measured models.
        models: the file of their configurations.
        devices: by way, then by the device's name in the data.
    """
    for label in labels:
        counted = profile(graph(models, label.model, label.sequence, label.batch))
        for way, known in devices.items():
            if label.device in known:
                made = estimate(counted, known[label.device], groups(label, counted))
                label.predicted[way] = made.seconds


def error(labels: Sequence[Label], value: Callable[[Label], float]) -> float | None:
    """Mean |predicted ÷ measured − 1|; None where some have no prediction."""
    ratios = [value(label) / label.seconds for label in labels]
    return None if any(map(isnan, ratios)) else statistics.fmean(abs(ratio - 1) for ratio in ratios)


def summary(labels: Sequence[Label]) -> list[dict[str, object]]:
    """A row a way and set of labels, with what others reach on the same."""
    nvidia = [label for label in labels if label.is_nvidia]
    without = [label for label in nvidia if label.device != "Tesla_P4"]
    amd = [label for label in labels if not label.is_nvidia]
    sets = [("datasheet", {"all": list(labels), "NVIDIA": nvidia, "AMD": amd})]
    sets += [(way, {"NVIDIA": nvidia, "without P4": without}) for way in ("calibrated", "left out")]
    return [
        {
            "way": f"{way}, {name}",
            "rows": len(chosen),
            "error": error(chosen, lambda label, way=way: label.predicted[way]),
            "neusight": error(chosen, lambda label: label.neusight_s),
            "roofline": error(chosen, lambda label: label.roofline_s),
            "target": TARGETS.get(f"{way}, {name}"),
        }
        for way, parts in sets
        for name, chosen in parts.items()
    ]


def main() -> None:
    """Predict, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("PARTWISE_NEUSIGHT"), required=False)
    given = parser.parse_args()
    if given.data is None:
        parser.error("name the folder of NeuSight's data with --data or PARTWISE_NEUSIGHT")
    data = Path(given.data)
    sheets = {name: find_device(entry) for name, entry in DEVICES.items()}
    nvidia = [name for name in DEVICES if not name.startswith("AMD")]
    rows = {name: [row for row in read_rows(data, nvidia) if row.device == name] for name in nvidia}
    calibrated = {name: calibrate(sheets[name], rows[name]) for name in nvidia}
    ways = {
        "datasheet": sheets,
        "calibrated": calibrated,
        "left out": {name: left_out(calibrated, name) for name in nvidia},
    }
    operators = [
        {"device": DEVICES[name], "rows": len(rows[name]), "shares": dict(calibrated[name].efficiency)}
        | {way: errors(rows[name], ways[way][name]) for way in ("datasheet", "calibrated")}
        for name in nvidia
    ]
    labels = read_labels(data)
    predict(labels, data / "models.json", ways)
    found = summary(labels)
    show(operators, labels, found)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    detail = [
        {name: None if isinstance(value, float) and isnan(value) else value for name, value in vars(label).items()}
        for label in labels
    ]
    RESULT.write_text(
        json.dumps({"command": "python benchmarks/accuracy.py --data neusight/", "summary": found,
                    "operators": operators, "rows": detail}, indent=1) + "\n"
    )  # fmt: skip
    points = {
        way: [(label.seconds, label.predicted[way]) for label in labels if way in label.predicted] for way in ways
    }
    RESULT.with_suffix(".svg").write_text(scatter(points, "measured [s]", "predicted [s]"))


def show(operators: Sequence[dict[str, object]], labels: Sequence[Label], found: Sequence[dict[str, object]]) -> None:
    """The tables as Markdown."""
    print("| device | way | " + " | ".join(kinds := ["linear", "bmm", "elem", "ln", "softmax"]) + " |\n|" + "---|" * 7)
    for row in operators:
        for way in ("datasheet", "calibrated"):
            got: dict[str, float] = row[way]  # pyright: ignore[reportAssignmentType]
            print(f"| {row['device']} | {way} | " + " | ".join(f"{got[kind]:.1%}" for kind in kinds) + " |")
    print(
        "\n| device | model | batch | measured ms | "
        + " | ".join(ways := ["datasheet", "calibrated", "left out"])
        + " |"
    )
    for label in labels:
        shares = (f"{label.predicted[way] / label.seconds - 1:+.1%}" if way in label.predicted else "" for way in ways)
        name = f"{label.model} {label.option}"
        print(
            f"| {DEVICES[label.device]} | {name} | {label.batch} | {label.seconds * 1e3:.1f} | "
            + " | ".join(shares)
            + " |"
        )
    print("\n| way | rows | error | NeuSight | roofline | at most |\n|---|---|---|---|---|---|")
    for row in found:
        figures = " | ".join(
            f"{row[who]:.1%}" if row[who] is not None else "" for who in ("error", "neusight", "roofline", "target")
        )
        print(f"| {row['way']} | {row['rows']} | {figures} |")


if __name__ == "__main__":
    main()
