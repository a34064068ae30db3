"""The source document's hardware tables (seed 004) beside what Partwise says, as Markdown for docs/profile-source.md.

python benchmarks/source_tables.py
"""

from __future__ import annotations

import partwise
from partwise.hardware import find_device
from partwise.profiling import Profile, estimate, profile
from partwise.profiling.simple import SOURCE_DEVICES, conv_tiles, simple_seconds

BLOCK_FLOPS, BATCH = 59e9, 16
FAMILY = {"resnet18": (11.69, 3.79, 17), "resnet34": (21.80, 7.49, 33), "resnet50": (25.56, 10.80, 49)}
COUNTS = {"resnet18": (4.49, 31), "mobilenet_v2": (1.91, 14), "efficientnet_b0": (2.39, 17)}
PRINTED = {"h100-pcie": 21100, "tpu-v4": 7740, "kpu-t100": 2810, "kpu-t2": 56, "intel-i7": 25, "ryzen7": 17}


def main() -> None:
    """Print every table."""
    graphs = {name: partwise.capture(name, weights=False) for name in (*FAMILY, "mobilenet_v2", "efficientnet_b0")}
    counted = {name: profile(graph, {"batch": 1}) for name, graph in graphs.items()}
    print(
        "| model | parameters | | GFLOP | | tiles | |\n| | source | ours | source | ours | source | ours |\n"
        + "|---" * 7
        + "|"
    )
    for name, (parameters, gflop, tiles) in FAMILY.items():
        found = counted[name]
        ours = f"{found.parameters / 1e6:.2f} M | {gflop} | {found.flops / 1e9:.3f}"
        print(f"| {name} | {parameters} M | {ours} | {tiles} | {conv_tiles(graphs[name], found)} |")
    print("\n| model | GFLOP, source | ours | FLOP/byte, source | ours |\n|---|---|---|---|---|")
    for name, (gflop, intensity) in COUNTS.items():
        found = counted[name]
        print(f"| {name} | {gflop} | {found.flops / 1e9:.3f} | {intensity} | {found.flops / found.traffic_bytes:.1f} |")
    batch = profile(graphs["resnet18"], {"batch": BATCH})
    print(f"\nResNet-18, batch {BATCH}: {batch.flops / 1e9:.1f} GFLOP")
    print("| device | /s, source | `simple`, 59 GFLOP | ours | J/GFLOP, source | ours | of peak |\n" + "|---" * 7 + "|")
    made = {device.name: estimate(batch, find_device(device.name)) for device in SOURCE_DEVICES}
    for device in SOURCE_DEVICES:
        simple, ours = 1 / simple_seconds(BLOCK_FLOPS, device.flops_per_s, device.kind), made[device.name]
        joules = "-" if ours.joules is None else f"{ours.joules / batch.flops * 1e9:.4f}"
        share = ours.flops_per_s / find_device(device.name).flops_per_s
        row = f"{PRINTED[device.name]} | {simple:.0f} | {1 / ours.seconds:.1f} | {device.joules_per_gflop} | {joules}"
        print(f"| {device.name} | {row} | {share:.1%} |")
    base = made["ryzen7"].seconds
    print("\nAgainst the Ryzen: " + ", ".join(f"{name} {base / row.seconds:.1f}" for name, row in made.items()))
    for name in ("h100-pcie", "h100-sxm"):
        show_units(name, counted["resnet18"])


def show_units(device: str, counted: Profile) -> None:
    """Tiles and waves of every product, and the share of the multiprocessors that works."""
    known = find_device(device)
    made = estimate(counted, known)
    print(f"\nbatch 1, {device}: busy {made.busy:.1%}, of peak {made.flops_per_s / known.flops_per_s:.1%}")
    print("| product | tile | tiles | waves | busy | of the peak |\n" + "|---" * 6 + "|")
    for group in made.groups:
        for product, mapping in zip(counted.nodes[group.nodes[0]].products, group.mappings, strict=True):
            size, tile = f"{product.rows} × {product.columns} × {product.depth}", " × ".join(map(str, mapping.tile))
            share = f"{mapping.busy:.0%} | {mapping.utilization:.0%}"
            print(f"| {size} | {tile} | {mapping.tiles} | {mapping.waves} | {share} |")


if __name__ == "__main__":
    main()
