"""Tables and plot of what `benchmarks/proving.py` measured: CPU against peak, the front marked.

python benchmarks/proving_plot.py docs/data/proving.json docs/data/proving.svg   # the tables go to standard output
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

USUAL = "usual"
SHARED = ("setup_s", "prove_s", "cpu_s", "peak_bytes")
WIDTH, HEIGHT, LEFT, BOTTOM = 760, 300, 70, 40
COLOURS = ("#1f6f8b", "#b5541c", "#4f7a28")


def front(rows: list[dict]) -> list[dict]:
    """Plans of one model that none of its others beats in both."""

    def beaten(row: dict) -> bool:
        return any(o["cpu_s"] <= row["cpu_s"] and o["peak_bytes"] <= row["peak_bytes"] and o is not row for o in rows)

    return [row for row in rows if not beaten(row)]


def is_usual(row: dict) -> bool:
    return row["plan"].startswith(USUAL)


def costs(rows: list[dict]) -> str:
    """Seconds of each step and in all, and peak memory; the share of the usual recipe's beside each."""
    head = (
        "model, plan | k | set up s | of usual | prove s | of usual | verify s | all s | of usual | peak MB | of usual"
    )
    lines = [f"| {head} | keys MB | front |", "|---" * 13 + "|"]
    for row in rows:
        mine = [r for r in rows if r["model"] == row["model"]]
        usual = next((r for r in mine if r["plan"] == USUAL), None)
        shares = {field: "" if usual is None else f"{row[field] / usual[field]:.3f}" for field in SHARED}
        rivals = [r for r in mine if not is_usual(r) and r["as_accurate"] == row.get("as_accurate")]
        cells = [
            named(row),
            ", ".join(map(str, row["logrows"])),
            *(f"{row['setup_s']:.1f}", shares["setup_s"], f"{row['prove_s']:.1f}", shares["prove_s"]),
            *(f"{row['verify_s']:.2f}", f"{row['cpu_s']:.1f}", shares["cpu_s"]),
            *(f"{row['peak_bytes'] / 1e6:.0f}", shares["peak_bytes"]),
            f"{row['proving_key_bytes'] / 1e6:.0f}",
            "yes" if not is_usual(row) and row in front(rivals) else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def accuracies(rows: list[dict]) -> str:
    """Errors against onnxruntime: those of a model's plans at one setting are equal, so each stands once."""
    lines = ["| model, setting | largest error | mean error | same class | binary digits |", "|---" * 5 + "|"]
    seen = set[tuple]()
    for row in rows:
        setting = row["plan"] if is_usual(row) else "all plans" + (", as accurate" if row["as_accurate"] else "")
        key = (row["model"], setting)
        if key in seen:
            continue
        seen.add(key)
        cells = [
            ", ".join(key),
            f"{row['error']:.1e} of {row['largest_output']:.2g}",
            f"{row['mean_error']:.1e}",
            f"{row['same_class']} of {row['samples']}",
            ", ".join(f"{name} {bits}" for name, bits in row.get("digits", {}).items()),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def predicted(rows: list[dict]) -> str:
    """The largest deviation of what was predicted, by model and figure."""
    lines = ["| model | prove | set up | peak | keys |", "|---" * 5 + "|"]
    figures = ("prove_s", "setup_s", "peak_bytes", "proving_key_bytes")
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model and not is_usual(row)]
        worst = [max(abs(row[f"predicted_{f}"] / row[f] - 1) for row in mine) for f in figures]
        lines.append(f"| {model} | " + " | ".join(f"{share:.0%}" for share in worst) + " |")
    return "\n".join(lines)


def named(row: dict) -> str:
    return f"{row['model']}, {row['plan']}" + (", as accurate" if row.get("as_accurate") else "")


def plot(rows: list[dict]) -> str:
    """Every plan at its own accuracy but the usual recipe; on the front filled."""
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} 10V{HEIGHT - BOTTOM}H{WIDTH - 10}" stroke="black" fill="none"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}">CPU-seconds</text>',
        f'<text x="4" y="{HEIGHT / 2}">peak MB</text>',
    ]
    tuned = [row for row in rows if not is_usual(row) and not row["as_accurate"]]
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
    print(costs(measured), accuracies(measured), predicted(measured), sep="\n\n")
    Path(sys.argv[2]).write_text(plot(measured))
