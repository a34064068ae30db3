"""Why a plan is as it is: what limits each stage, what each cut would cost elsewhere, what more hardware would give."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.planning.records import Objective

__all__ = ["BoundaryReason", "Explanation", "Move", "StageReason", "WhatIf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReason:
    """What a stage spends its time on, and the limit that it is nearest to."""

    index: int
    device: str
    compute_s: float
    receive_s: float
    """Values from other stages, one after the other."""
    send_s: float
    """Values to other stages, each once, for as long as its slowest receiver takes."""
    load_share: float
    """Of the largest sum of the three; 1 is the stage that sets the pipeline's period."""
    memory_share: float | None
    """Of the memory that limits and device leave it; None where nothing limits it."""
    parameters_share: float | None
    """Of the limit on parameters."""
    binding: str
    """`load`, `memory` or `parameters`: the largest of these shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The plan with one unit of choice on the other side of a cut."""

    node: str
    """First of the unit."""
    nodes: int
    value: float | None
    """What the plan's value would be; None where a limit forbids it."""
    objective: Objective | None
    """The first one in their order that would change; None where none would, or they are weighted."""
    change: float
    """Of that objective, or of the weighted sum: relative, above 0 is worse."""
    bytes: int
    """What would cross there."""
    forbidden: str = ""
    """The limit that the move breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryReason:
    """Why the stages `before` and `before + 1` meet here."""

    before: int
    tensors: tuple[str, ...]
    """Values that stages up to it make and later ones receive."""
    bytes: int
    earlier: Move | None
    """The best way to give the later stage one unit more; None where no unit can, or it would leave a stage empty."""
    later: Move | None
    """The best way to give the earlier stage one unit more."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The same question on more hardware."""

    change: str
    value: float | None
    """None: no plan keeps the limits."""
    stages: int | None
    gain: float | None
    """1 − value / the plan's value; below 0 is worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything there is to say about a plan."""

    stages: tuple[StageReason, ...]
    boundaries: tuple[BoundaryReason, ...]
    what_if: tuple[WhatIf, ...]
