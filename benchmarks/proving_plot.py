"""Table and plot of what `benchmarks/proving.py` measured: CPU against peak, the front marked.

python benchmarks/proving_plot.py docs/data/proving.json docs/data/proving.svg   # the table goes to standard output
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 760, 300, 70, 40
COLOURS = ("#1f6f8b", "#b5541c", "#4f7a28")


def front(rows: list[dict]) -> list[dict]:
    """Plans of one model that none of its others beats in both."""

    def beaten(row: dict) -> bool:
        return any(o["cpu_s"] <= row["cpu_s"] and o["peak_bytes"] <= row["peak_bytes"] and o is not row for o in rows)

    return [row for row in rows if not beaten(row)]


def table(rows: list[dict]) -> str:
    lines = [
        "| model, plan | k | to prove s | of usual | all CPU-s | of usual | peak MB | of usual | keys MB | error |"
        " front |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mine = [r for r in rows if r["model"] == row["model"]]
        usual = next((r for r in mine if r["plan"] == "usual"), None)
        figures = ("prove_s", "cpu_s", "peak_bytes")
        shares = [""] * 3 if usual is None else [f"{row[f] / usual[f]:.3f}" for f in figures]
        cells = [
            f"{row['model']}, {row['plan']}",
            ", ".join(map(str, row["logrows"])),
            f"{row['prove_s']:.1f}",
            shares[0],
            f"{row['cpu_s']:.1f}",
            shares[1],
            f"{row['peak_bytes'] / 1e6:.0f}",
            shares[2],
            f"{row['proving_key_bytes'] / 1e6:.0f}",
            f"{row['error']:.1g}",
            "yes" if row in front(mine) else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(rows: list[dict]) -> str:
    """Every plan but the usual recipe; on the front filled."""
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} 10V{HEIGHT - BOTTOM}H{WIDTH - 10}" stroke="black" fill="none"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}">CPU-seconds</text>',
        f'<text x="4" y="{HEIGHT / 2}">peak MB</text>',
    ]
    tuned = [row for row in rows if row["plan"] != "usual"]
    most_cpu, most_peak = (max(row[f] for row in tuned) for f in ("cpu_s", "peak_bytes"))
    models = list(dict.fromkeys(row["model"] for row in tuned))
    for row in tuned:
        x = LEFT + row["cpu_s"] / most_cpu * (WIDTH - LEFT - 180)
        y = HEIGHT - BOTTOM - row["peak_bytes"] / most_peak * (HEIGHT - BOTTOM - 30)
        colour = COLOURS[models.index(row["model"]) % len(COLOURS)]
        on_front = row in front([r for r in tuned if r["model"] == row["model"]])
        fill = colour if on_front else "white"
        label = f"{row['model']}, {row['plan']}: {row['cpu_s']:.1f} s, {row['peak_bytes'] / 1e6:.0f} MB"
        found.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}"/>')
        found.append(f'<text x="{x + 7:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(label)}</text>')
    return "\n".join([*found, "</svg>"]) + "\n"


if __name__ == "__main__":
    measured = json.loads(Path(sys.argv[1]).read_text())
    print(table(measured))
    Path(sys.argv[2]).write_text(plot(measured))
