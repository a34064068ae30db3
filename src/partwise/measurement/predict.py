"""What a pipeline can reach, from the times of its lone stages and what replicas beside each other lose."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["predicted_per_s"]


def predicted_per_s(busy_s: Sequence[float], at_once: int, contention: float, caller_s: float = 0.0) -> float:
    """Requests a second of a full pipeline.

    The slowest stage decides, or the processors do, which have the caller's work too; both get slower by what stages
    at work at once take from each other. Source: the bound min(1 / slowest stage, cores / work) of a pipeline;
    contention is measured in the same minutes on replicas.

    Args:
        busy_s: what each stage is busy with a request, computing and copying, alone [s].
        at_once: stages that the processors can run at once.
        contention: rate of so many replicas at once over as many times the rate of one alone, at most 1.
        caller_s: processor time of whoever hands requests to the stages, a request [s].
    """
    return min(1 / max(busy_s), at_once / (sum(busy_s) + caller_s)) * min(contention, 1.0)
