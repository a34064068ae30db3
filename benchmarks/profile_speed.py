"""How long profiling takes, capture left out: a Llama of 70B, a graph of 50,000 nodes, five models on every device.

Prints a table and writes `docs/data/profile_speed.json`.

    python benchmarks/profile_speed.py
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import partwise
from partwise.hardware import catalog, find_device
from partwise.ir import Graph
from partwise.profiling import estimate, profile

RESULT = Path(__file__).parent.parent / "docs" / "data" / "profile_speed.json"
FIVE = ("resnet18", "mobilenet_v2", "efficientnet_b0", "vit_b16", "bert_base")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def large() -> Graph:
    """Blocks of a transformer, by hand: about 30 nodes each."""
    from graphs import transformer

    return transformer(1667, 8192, 2048)


def seconds(graph: Graph) -> float:
    """Counting one graph and predicting it on one device."""
    start = time.perf_counter()
    estimate(profile(graph), find_device("h100"))
    return time.perf_counter() - start


def sweep(graphs: list[Graph]) -> float:
    """Counting each graph and predicting it on every device."""
    start = time.perf_counter()
    for graph in graphs:
        counted = profile(graph)
        for device in catalog().devices:
            estimate(counted, device)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, write."""
    llama = partwise.capture("llama_70b", weights=False, static=True, batch=1, sequence=2048)
    blocks, five = large(), [partwise.capture(name, weights=False) for name in FIVE]
    rows = [
        ("Llama of 70B, one device", len(llama.nodes), seconds(llama), 2.0),
        ("transformer blocks, one device", len(blocks.nodes), seconds(blocks), 5.0),
        (f"{len(five)} models × {len(catalog().devices)} devices", sum(len(g.nodes) for g in five), sweep(five), 10.0),
    ]
    print("| what | nodes | seconds | at most |\n|---|---|---|---|")
    for what, nodes, took, limit in rows:
        print(f"| {what} | {nodes} | {took:.2f} | {limit:.0f} |")
    names = ("what", "nodes", "seconds", "limit")
    RESULT.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
