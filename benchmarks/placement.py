"""Placements of public workloads by constraint programming: in a line, and any units on any device.

    python benchmarks/placement.py FILE.json …

The files are in the format of msr-fiddle/dnn-partitioning (MIT), data of Tarnawski et al., NeurIPS 2020. Prints a
table and writes `docs/data/placement.json`; exit code 0 where no placement in a line is other than that of the
search over ideals, and none of any units is above it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from partwise.planning.cpsat import solve_cpsat
from partwise.planning.ideals import solve_ideals
from partwise.planning.workload import WorkloadGraph, parse_workload

RESULT = Path(__file__).parent.parent / "docs" / "data" / "placement.json"
IDEALS = 60_000
EFFORT = 10
SAME = 1e-8


def rows(path: Path) -> Iterator[dict[str, object]]:
    """Both answers for a file."""
    name = path.stem.removesuffix("_inference")
    instance = WorkloadGraph(parse_workload(msgspec.json.decode(path.read_bytes()), str(path))).instance()
    known = solve_ideals(instance, most=IDEALS)
    for plans, contiguous in (("in a line", True), ("any", False)):
        start = time.perf_counter()
        found = solve_cpsat(instance, contiguous=contiguous, hint=known, effort=EFFORT)
        yield {
            "workload": name,
            "plans": plans,
            "ideals": known and known.value,
            "value": found.value,
            "bound": found.bound,
            "proved": found.proved,
            "seconds": time.perf_counter() - start,
        }


def main() -> int:
    """All files of the command line."""
    table = [row for path in sys.argv[1:] for row in rows(Path(path))]
    for row in table:
        figures = "  ".join(f"{row[name]:9.3f}" for name in ("ideals", "value", "bound"))
        print(f"{row['workload']:16} {row['plans']:10} {figures}  {'proved' if row['proved'] else 'open':7}"
              f"{row['seconds']:6.1f} s")  # fmt: skip
    RESULT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    is_equal = [
        abs(row["value"] - row["ideals"]) <= SAME * row["ideals"] for row in table if row["plans"] == "in a line"
    ]
    return not (all(is_equal) and all(row["value"] <= row["ideals"] * (1 + SAME) for row in table))


if __name__ == "__main__":
    sys.exit(main())
