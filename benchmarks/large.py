"""How long the planner takes on large graphs: CPU seconds of `partwise.plan`, graph and profile given.

    python benchmarks/large.py

Chains of attention and feed-forward blocks with residual sums, every node a unit of choice, `throughput`, NVLink 3, a
device may stay empty: 50,000 nodes on 16 equal devices, and 5,000 nodes on 4 devices of each of 4 types.
Writes docs/data/large.json. CPU time rather than time on the clock: it says the same on a busy machine.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import partwise  # noqa: E402
from graphs import transformer  # noqa: E402
from partwise.hardware import Cluster, Member, equal_devices, find_device, find_link  # noqa: E402
from partwise.planning import Limits, Objective, Terms, plan  # noqa: E402

TYPES = ("a100", "rtx3090", "rtx3060", "h100-pcie")
LINK = find_link("nvlink3")


def main() -> int:
    """Print a line a graph and write them all."""
    rows = [
        row("16 equal devices", 1667, equal_devices(find_device("a100"), LINK, 16)),
        row("4 × 4 devices", 167, unequal()),
    ]
    (ROOT / "docs/data/large.json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def unequal() -> Cluster:
    """Four devices of each of four types."""
    devices = [find_device(name) for name in TYPES]
    members = [
        Member(name=f"{device.name}-{number}", device=device, memory_bytes=device.memory_bytes)
        for device in devices
        for number in range(4)
    ]
    return Cluster(name="unequal", members=tuple(members), within=LINK)


def row(title: str, layers: int, cluster: Cluster) -> dict[str, object]:
    """One graph planned."""
    graph = transformer(layers, 64, 32)
    profile = partwise.profile(graph)
    start = time.process_time()
    made = plan(graph, profile, Limits(), [Objective.THROUGHPUT], Terms(cluster=cluster))
    seconds = time.process_time() - start
    print(f"{title}: {len(graph.nodes)} nodes, gap {made.gap}, {seconds:.2f} s of CPU time")
    return {"cluster": title, "nodes": len(graph.nodes), "value": made.value, "gap": made.gap, "cpu_s": seconds}


if __name__ == "__main__":
    raise SystemExit(main())
