"""What one call of a prover may take."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Of one call of the prover."""

    seconds: float = 3600.0
    memory_bytes: int | None = None
    """Address space of the child; None leaves it unlimited."""
    threads: int | None = None
    """Of the prover; None lets it use every processor."""
