"""Published latencies of single operators: predictions for them, and a device calibrated on them.

Three numbers a GPU are calibrated: the share of the bandwidth from elementwise operators, the shares of the peak from
`linear` and from `bmm`. Each is the default times the median of predicted ÷ measured over rows long enough that the
fixed time of a measurement does not show.
"""

from __future__ import annotations

import csv
import gzip
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from partwise.hardware import Device, arithmetic_share, memory_share
from partwise.ir import DType, Format, Graph, Node, Output, Ref, TensorSpec, Weight
from partwise.profiling import Profile, estimate, profile

LONG_S = 0.5e-3
"""A row shorter than this is not calibrated on: launching and measuring take 14 to 24 µs of it."""
UNARY = {"addu": "add", "mulu": "mul", "divu": "div", "powu": "pow", "relu": "relu", "gelu": "gelu", "tanh": "tanh"}
ATEN = {
    "add": "add.Tensor",
    "mul": "mul.Tensor",
    "div": "div.Tensor",
    "pow": "pow.Tensor_Tensor",
    "relu": "relu.default",
    "gelu": "gelu.default",
    "tanh": "tanh.default",
    "ln": "layer_norm.default",
    "softmax": "softmax.int",
}


@dataclass(frozen=True)
class Row:
    """A measured operator."""

    device: str
    kind: str
    """`linear`, `bmm`, `elem`, `ln` or `softmax`."""
    name: str
    shape: tuple[int, ...]
    seconds: float


def read_rows(folder: Path, devices: Sequence[str]) -> list[Row]:
    """The rows of these devices."""
    rows: list[Row] = []
    for kind, names in (("linear", "BMNK"), ("bmm", "BMNK"), ("elem", "BH"), ("ln", "BH"), ("softmax", "BH")):
        with gzip.open(folder / f"op_{kind}.csv.gz", "rt") as file:
            for line in csv.DictReader(file):
                device = line["Device"].replace(" ", "_")
                if device in devices:
                    shape = tuple(int(line[name]) for name in names)
                    rows.append(Row(device, kind, line["OPName"], shape, float(line["Latency"]) / 1e3))
    return rows


@lru_cache(maxsize=65536)
def counted(kind: str, name: str, shape: tuple[int, ...]) -> Profile:
    """The counts of one operator alone."""
    return profile(_graph(kind, name, shape))


def predict(row: Row, device: Device) -> float:
    """Seconds of a measured row's operator on a device."""
    return estimate(counted(row.kind, row.name, row.shape), device).seconds


def calibrate(device: Device, rows: Sequence[Row]) -> Device:
    """The device with its shares of bandwidth and peak from measured operators."""
    shares = {"memory": memory_share(device), "matmul": arithmetic_share(device, "matmul")}
    shares["batched"] = shares["matmul"]
    for figure, kind in (("memory", "elem"), ("matmul", "linear"), ("batched", "bmm")):
        start = replace(device, efficiency=shares)
        long = [row for row in rows if row.kind == kind and row.seconds > LONG_S and row.device]
        ratios = [predict(row, start) / row.seconds for row in long]
        if ratios:
            shares = shares | {figure: shares[figure] * statistics.median(ratios)}
    return replace(device, efficiency=shares)


def errors(rows: Sequence[Row], device: Device) -> dict[str, float]:
    """Mean |predicted ÷ measured − 1| by kind."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.kind, []).append(abs(predict(row, device) / row.seconds - 1))
    return {kind: statistics.fmean(values) for kind, values in found.items()}


def _graph(kind: str, name: str, shape: tuple[int, ...]) -> Graph:
    weights: tuple[tuple[int, ...], ...] = ()
    if kind == "linear":
        batch, m, n, k = shape
        inputs, weights, out, op = [(batch, m, k)], ((n, k),), (batch, m, n), "linear.default"
    elif kind == "bmm":
        batch, m, n, k = shape
        inputs, out, op = [(batch, m, k), (batch, k, n)], (batch, m, n), "bmm.default"
    else:
        op = ATEN[UNARY.get(name, name)]
        inputs, out = [shape] * (1 if kind != "elem" or name in UNARY else 2), shape
    names = [f"x{number}" for number in range(len(inputs))]
    held = [f"w{number}" for number in range(len(weights))]
    given = [*zip(names, inputs, strict=True), *zip(held, weights, strict=True), ("y", out)]
    return Graph(
        format=Format.TORCH,
        name=kind,
        settings=(),
        symbols=(),
        inputs=tuple(names),
        weights=tuple(Weight(tensor=name, key=name, trainable=True) for name in held),
        outputs=(Output(name="y", tensor="y"),),
        tensors=tuple(TensorSpec(name=name, dtype=DType.FLOAT32, shape=size) for name, size in given),
        nodes=(Node(op=f"aten.{op}", args=tuple(Ref(name) for name in (*names, *held)), outputs=("y",)),),
    )
