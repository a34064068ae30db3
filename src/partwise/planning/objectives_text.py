"""Objectives as text.

In, what is made small: `stages,traffic` in order, or `0.7*throughput+0.3*traffic` weighted. Out, a value with its unit.
"""

from __future__ import annotations

import re
from math import isfinite

from partwise.errors import InputError
from partwise.planning.records import Blend, Objective, Share
from partwise.units import format_bytes, format_joules, format_seconds

__all__ = ["format_value", "parse_objectives"]

_SHARE = re.compile(r"\s*([0-9.eE-]+)\s*\*\s*([a-z-]+)\s*\Z")


def parse_objectives(text: str) -> tuple[Objective, ...] | Blend:
    """One objective, several in order, or a weighted sum.

    Raises:
        InputError: an unknown objective, one twice in a sum, a weight that is not above 0, or order and sum mixed.
    """
    if "*" not in text and "+" not in text:
        return tuple(_objective(part.strip(), text) for part in text.split(","))
    if "," in text:
        raise InputError(f"objective `{text}`", "is in order and weighted at once", expected="a,b or 0.7*a+0.3*b")
    shares = tuple(_share(part, text) for part in text.split("+"))
    if len({share.objective for share in shares}) < len(shares):
        raise InputError(f"objective `{text}`", "names one twice")
    return Blend(shares=shares)


def format_value(objective: Objective, value: float) -> str:
    """An objective's value with its unit."""
    match objective:
        case Objective.STAGES | Objective.DEVICES:
            return f"{value:.0f}"
        case Objective.TRAFFIC | Objective.BALANCE_MEMORY:
            return format_bytes(value)
        case Objective.ENERGY:
            return format_joules(value)
        case Objective.COST:
            return f"{value:.4g} $"
        case Objective.PROOF:
            return f"{format_seconds(value)} CPU"
        case _:
            return format_seconds(value)


def _share(part: str, text: str) -> Share:
    match = _SHARE.match(part)
    if match is None:
        raise InputError(f"objective `{text}`", "is no weighted sum", expected="for example 0.7*throughput+0.3*traffic")
    try:
        weight = float(match[1])
    except ValueError:
        weight = 0.0
    if not (isfinite(weight) and weight > 0):
        raise InputError(f"objective `{text}`", "a weight is a number above 0", got=match[1])
    return Share(objective=_objective(match[2], text), weight=weight)


def _objective(name: str, text: str) -> Objective:
    try:
        return Objective(name)
    except ValueError:
        what = f"`{name}` is unknown"
        raise InputError(f"objective `{text}`", what, expected=f"one or several of {', '.join(Objective)}") from None
