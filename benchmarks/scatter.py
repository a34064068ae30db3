"""A scatter plot on two logarithmic axes, as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

SIZE, MARGIN = 480, 56
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
Points = Sequence[tuple[float, float]]


def scatter(series: Mapping[str, Points], across: str, up: str) -> str:
    """Points by series; on the diagonal both values are equal.

    Args:
        series: pairs of positive numbers by name.
        across: label of the first value's axis.
        up: label of the second's.
    """
    values = [value for points in series.values() for point in points for value in point]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))

    def place(value: float) -> float:
        return MARGIN + (log10(value) - low) / (high - low) * (SIZE - 2 * MARGIN)

    parts = [_line(place(10**low), SIZE - place(10**low), place(10**high), SIZE - place(10**high))]
    for power in range(low, high + 1):
        x = place(10**power)
        parts += [_line(x, MARGIN, x, SIZE - MARGIN, "#ddd"), _line(MARGIN, SIZE - x, SIZE - MARGIN, SIZE - x, "#ddd")]
        parts += [_text(x, SIZE - MARGIN + 16, f"1e{power}"), _text(MARGIN - 22, SIZE - x + 4, f"1e{power}")]
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        parts += [
            f'<circle cx="{place(x):.1f}" cy="{SIZE - place(y):.1f}" r="3" fill="{colour}" fill-opacity="0.6"/>'
            for x, y in points
        ]
        parts.append(_text(MARGIN + 50, 18 + 14 * list(series).index(name), name, colour))
    parts += [
        _text(SIZE / 2, SIZE - 12, across),
        f'<g transform="rotate(-90 14 {SIZE / 2})">{_text(14, SIZE / 2, up)}</g>',
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" font-family="sans-serif" font-size="11">'
    )
    return "\n".join([head, f'<rect width="{SIZE}" height="{SIZE}" fill="white"/>', *parts, "</svg>"]) + "\n"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#888") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{text}</text>'
