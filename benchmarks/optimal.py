"""How good the planner's answers are on models at true size: bound ÷ value and seconds in every cell.

    python benchmarks/optimal.py [MODEL …]

Every captured node is a unit of choice; batch 8, sequence 512; `throughput`; a device may stay empty. Equal devices:
2, 4, 8, 16 A100 with free transfers, NVLink 3, PCIe 4 and 10 Gbit/s. Unequal ones: 24 + 12 + 8 GB GPUs, a laptop's CPU
and iGPU, also with memory squeezed to 1.5, 1.2 and 1.1 × the model's peak; 4 + 4 + 2 devices of three types.
Writes docs/data/optimal.json. Times are of `partwise.plan` with graph and profile given.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import partwise
from partwise.errors import InfeasibleError
from partwise.hardware import Cluster, Link, Member, equal_devices, find_device, find_link
from partwise.planning import Limits, Objective, Terms, plan

MODELS = (
    "resnet50", "efficientnet_b0", "vit_b16", "bert_base", "gpt2", "convnext_tiny", "swin_t", "mobilenet_v2", "minilm",
    "llama_8b", "mixtral_8x7b", "qwen3_8b", "t5_base", "whisper_small",
)  # fmt: skip
COUNTS = (2, 4, 8, 16)
LINKS = {
    "free": Link(name="free", bytes_per_s=1e30, latency_s=0.0),
    "nvlink3": find_link("nvlink3"),
    "pcie4-x16": find_link("pcie4-x16"),
    "ethernet-10g": find_link("ethernet-10g"),
}
UNEQUAL = {
    "24+12+8 GB": (("rtx3090", 1), ("rtx3060", 1), ("rtx3070", 1)),
    "laptop": (("ultra9-185h", 1), ("ultra9-185h-gpu", 1)),
    "4+4+2": (("a100-sxm-40gb", 4), ("rtx3060", 4), ("epyc-7763", 2)),
}
SQUEEZES = (None, 1.5, 1.2, 1.1)


def main() -> int:
    """Print a line a cell, write them all; exit code 0 where every cell of a model with few ideals has gap 0."""
    rows: list[dict[str, object]] = []
    for name in sys.argv[1:] or MODELS:
        text = name not in ("resnet50", "efficientnet_b0", "vit_b16", "convnext_tiny", "swin_t", "mobilenet_v2")
        sizes = {"batch": 8} | ({"sequence": 448 if name == "whisper_small" else 512} if text else {})
        graph = partwise.capture(name, static=True, **sizes)
        profile = partwise.profile(graph)
        for title, cluster in clusters(profile.peak_bytes):
            start = time.perf_counter()
            try:
                made = plan(graph, profile, Limits(), [Objective.THROUGHPUT], Terms(cluster=cluster))
                found = {"value": made.value, "ratio": made.bound / made.value, "stages": len(made.stages)}
            except InfeasibleError:
                found = {"value": None, "ratio": 1.0, "stages": 0}
            row = {"model": name, "cluster": title, **found, "seconds": time.perf_counter() - start}
            rows.append(row)
            print(f"{name:16} {title:24} {_text(row)}", flush=True)
    path = Path(__file__).parent.parent / "docs" / "data" / "optimal.json"
    path.write_text(json.dumps({"command": "python benchmarks/optimal.py", "rows": rows}, indent=1) + "\n")
    proved = [row for row in rows if row["ratio"] == 1.0]
    slow = [row for row in rows if float(str(row["seconds"])) > 5]
    print(f"{len(proved)} of {len(rows)} cells proved optimal or infeasible; {len(slow)} took more than 5 s")
    hard = {"t5_base", "whisper_small"}
    return int(any(row["ratio"] != 1.0 and row["model"] not in hard for row in rows))


def clusters(peak_bytes: int) -> Iterator[tuple[str, Cluster]]:
    """The cells for a model that needs so much memory."""
    for link_name, link in LINKS.items():
        for count in COUNTS:
            yield f"{count} a100, {link_name}", equal_devices(find_device("a100"), link, count)
    for name, kinds in UNEQUAL.items():
        for squeeze in SQUEEZES if name != "4+4+2" else (None,):
            title = name if squeeze is None else f"{name} × {squeeze}"
            yield title, _unequal(kinds, None if squeeze is None else squeeze * peak_bytes)


def _unequal(kinds: tuple[tuple[str, int], ...], total: float | None) -> Cluster:
    members = [
        Member(name=f"{kind}-{number}", device=device, memory_bytes=device.memory_bytes)
        for kind, count in kinds
        for device in [replace(find_device(kind), sources=())]
        for number in range(count)
    ]
    if total is not None:
        share = total / sum(member.memory_bytes or 0 for member in members)
        members = [replace(member, memory_bytes=int((member.memory_bytes or 0) * share)) for member in members]
    return Cluster(name="unequal", members=tuple(members), within=find_link("pcie4-x16"))


def _text(row: dict[str, object]) -> str:
    if row["value"] is None:
        return f"infeasible            {row['seconds']:.2f} s"
    return f"{row['value']:.6g} s, ratio {row['ratio']:.4f}, {row['stages']} stages, {row['seconds']:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
