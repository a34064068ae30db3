"""Plans against those of other tools: six models at true size on three clusters, all priced by one evaluator.

    python benchmarks/planning.py

The objective is `throughput`: the period of the pipeline, the largest time of a stage with its transfers. Prints a
table and writes `docs/data/planning.json`; exit code 0 where Partwise is ahead, or the row says why not.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from planning_peers import PEERS, Answer, Case

import partwise
from partwise import planning
from partwise.errors import InfeasibleError
from partwise.hardware import Cluster, equal_devices, find_device, find_link, parse_cluster
from partwise.ir import contract
from partwise.planning import Limits, Objective, Plan
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile

RESULT = Path(__file__).parent.parent / "docs" / "data" / "planning.json"
PAGE = RESULT.parent.parent / "emit.md"
BEGIN, END = "<!-- written by benchmarks/planning.py -->", "<!-- end -->"
BATCH, SEQUENCE = 8, 512
SAME = 1e-9  # relative; sums of floats

_IMAGES, _TEXT = transformers.AutoModelForImageClassification, transformers.AutoModelForCausalLM
_GQA = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "dtype": "bfloat16"}  # fmt: skip
MODELS: dict[str, tuple[Any, transformers.PretrainedConfig, str]] = {
    "ResNet-50": (_IMAGES, transformers.ResNetConfig(), r"stages\.\d+\.layers\.\d+"),
    "EfficientNet-B0": (
        _IMAGES,
        transformers.EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280),
        r"blocks\.\d+",
    ),
    "ViT-B/16": (_IMAGES, transformers.ViTConfig(), r"layers\.\d+"),
    "BERT-base": (transformers.AutoModelForMaskedLM, transformers.BertConfig(), r"layer\.\d+"),
    "Llama-8B": (_TEXT, transformers.LlamaConfig(vocab_size=128256, **_GQA), r"layers\.\d+"),
    "Mixtral-8x7B": (_TEXT, transformers.MixtralConfig(**_GQA), r"layers\.\d+"),
}
"""Shapes as published: ResNet-50, EfficientNet-B0, ViT-B/16 and BERT-base are the defaults of their configs; Llama 3
8B: arXiv 2407.21783, table 3; Mixtral 8x7B: arXiv 2401.04088, table 1."""

_THREE = """
[links]
within = "pcie4"
[[member]]
device = "rtx3090"
[[member]]
device = "rtx3060"
[[member]]
device = "rtx3070"
"""
_LAPTOP = """
[pools]
ram = "32GiB"
[links]
within = "shared-memory"
[[member]]
device = "ultra9-185h"
shares = "ram"
[[member]]
device = "arc-igpu"
shares = "ram"
"""
CLUSTERS: dict[str, Cluster] = {
    "4 × A100 40GB, NVLink 3": equal_devices(
        find_device("a100"), find_link("nvlink3"), 4, memory_bytes=find_device("a100").memory_bytes
    ),
    "24 + 12 + 8 GB, PCIe 4": parse_cluster(_THREE, "24 + 12 + 8 GB"),
    "laptop CPU + iGPU": parse_cluster(_LAPTOP, "laptop"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One division, priced."""

    model: str
    cluster: str
    method: str
    stages: int | None = None
    fits: bool = False
    """Each stage within its device's memory, and all of them within the memory that they share."""
    period_s: float | None = None
    peak_bytes: int | None = None
    """Of the largest stage."""
    traffic_bytes: int | None = None
    note: str = ""


def main() -> int:
    """Print the table and leave it in the docs."""
    rows: list[Row] = []
    for name in MODELS:
        for case, cluster in cases(name):
            rows += compare(name, cluster, case)
            show(rows[-1 - len(PEERS) :])
    RESULT.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}{END}{rest.partition(END)[2]}")
    return 0 if all(row.note for row in rows if row.method == "Partwise") else 1


def cases(name: str) -> Iterator[tuple[Case, str]]:
    """A model, captured once, on each cluster."""
    kind, config, blocks = MODELS[name]
    with torch.device("meta"):
        module = kind.from_config(config).eval()
    config.architectures = [type(module).__name__]
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        text = {} if kind is _IMAGES else {"sequence": SEQUENCE}
        graph = partwise.capture(folder, weights=False, static=True, batch=BATCH, **text)
    contraction, costs = contract(graph), profile(graph)
    for title, cluster in CLUSTERS.items():
        yield Case(module=module, blocks=blocks, contraction=contraction, profile=costs, cluster=cluster), title


def compare(model: str, cluster: str, case: Case) -> list[Row]:
    """A row for each peer, and one for Partwise that says how it stands to the best of them."""
    peers = [price(model, cluster, name, peer(case), case) for name, peer in PEERS.items()]
    start = time.monotonic()
    try:
        terms = planning.Terms(cluster=case.cluster)
        plan = planning.plan(case.contraction.graph, case.profile, Limits(), [Objective.THROUGHPUT], terms)
    except InfeasibleError:
        memory = sum(case.cluster.pools.values()) or sum(map(case.memory, case.members))
        need = f"{case.profile.weight_bytes / 2**30:.1f} GiB of weights, {memory / 2**30:.1f} GiB of memory"
        note = "" if any(row.fits for row in peers) else f"nothing fits: {need}"
        return [*peers, Row(model=model, cluster=cluster, method="Partwise", note=note)]
    seconds = time.monotonic() - start
    answer = tuple(stage.nodes for stage in plan.stages), tuple(stage.device for stage in plan.stages)
    ours = price(model, cluster, "Partwise", answer, case)
    return [*peers, Row(**asdict(ours) | {"note": standing(plan, ours, peers, seconds)})]


def standing(plan: Plan, ours: Row, peers: list[Row], seconds: float) -> str:
    """How far ahead of the best peer that fits, or why not; empty where there is no reason."""
    proof = "proved optimal" if plan.gap == 0 else f"gap {plan.gap:.1%}" if plan.gap is not None else "unknown gap"
    made = f"{proof} in {seconds:.1f} s"
    rivals = [row for row in peers if row.fits and row.period_s is not None]
    if not rivals:
        return f"no other fits; {made}"
    best = min(rivals, key=lambda row: row.period_s or 0)
    assert ours.period_s is not None
    assert best.period_s is not None
    ratio = best.period_s / ours.period_s
    if ratio > 1 + SAME:
        lead = f"{ratio:.2f} ×" if ratio >= 1.01 else f"{(ratio - 1) * 100:.1g} %"
        return f"{lead} ahead of {best.method}; {made}"
    if ratio >= 1 - SAME and plan.gap == 0:
        return f"level with {best.method}: both optimal; {made}"
    if plan.gap == 0 and best.stages is not None:
        return f"{best.method} is {1 / ratio:.3f} × ahead: no acyclic partition, where this is proved; {made}"
    return ""


def price(model: str, cluster: str, method: str, answer: Answer | None, case: Case) -> Row:
    """A division by the planner's evaluator."""
    if answer is None:
        return Row(model=model, cluster=cluster, method=method, note="does not place all weights")
    evaluator = Evaluator(case.contraction, RateTable(case.profile, case.cluster))
    stages, cuts = evaluator.price(*answer)
    period, traffic = evaluator.measured(stages, cuts, [Objective.THROUGHPUT, Objective.TRAFFIC])
    peaks = dict.fromkeys(case.cluster.pools, 0)
    for stage in stages:
        if pool := case.cluster.member(stage.device).pool:
            peaks[pool] += stage.peak_bytes
    over = evaluator.overfull(stages, Limits()) or [p for p, size in case.cluster.pools.items() if peaks[p] > size]
    return Row(
        model=model,
        cluster=cluster,
        method=method,
        stages=len(stages),
        fits=not over,
        period_s=period,
        peak_bytes=max(stage.peak_bytes for stage in stages),
        traffic_bytes=int(traffic),
        note="does not fit" if over else "",
    )


def show(rows: list[Row]) -> None:
    """A block of the table."""
    print(f"\n{rows[0].model}, {rows[0].cluster}")
    for row in rows:
        if row.period_s is None or row.peak_bytes is None or row.traffic_bytes is None:
            figures = " " * 38
        else:
            figures = (
                f"{row.period_s * 1e3:10.3f} ms {row.peak_bytes / 2**30:8.2f} GiB {row.traffic_bytes / 2**20:8.1f} MiB"
            )
        print(f"  {row.method:22s}{figures}  {row.stages or '-'}  {row.note}", flush=True)


def table(rows: list[Row]) -> str:
    """The docs' table: a line for each model on each cluster, a cell for each method."""
    methods = ["Partwise", *PEERS]
    lines = [["model", "cluster", *methods, "Partwise is"], ["---"] * (len(methods) + 3)]
    for model, cluster in dict.fromkeys((row.model, row.cluster) for row in rows):
        found = {row.method: row for row in rows if (row.model, row.cluster) == (model, cluster)}
        lines.append([model, cluster, *(cell(found[method]) for method in methods), found["Partwise"].note])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(row: Row) -> str:
    """Period [ms], largest stage [GiB], traffic [MiB]; in brackets what does not fit."""
    if row.period_s is None or row.peak_bytes is None or row.traffic_bytes is None:
        return "–"
    period = row.period_s * 1e3
    shown = f"{period:.4g}" if period < 1000 else f"{period:.0f}"
    figures = f"{shown} · {row.peak_bytes / 2**30:.2f} · {row.traffic_bytes / 2**20:.1f}"
    return figures if row.fits else f"({figures})"


if __name__ == "__main__":
    sys.exit(main())
