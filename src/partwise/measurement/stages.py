"""Each stage of a package: what its plan says it takes, and what it took alone."""

from __future__ import annotations

import msgspec

from partwise.errors import PlanError
from partwise.measurement.case import Case
from partwise.measurement.rates import stage_medians
from partwise.measurement.record import StageTime
from partwise.packaging import Package
from partwise.runtime.trace import Trace
from partwise.strict_json import json_record

__all__ = ["stage_times"]


def stage_times(case: Case, trace: Trace) -> tuple[StageTime, ...]:
    """The stages of a case, from a trace of lone requests."""
    planned = _planned(case.package)
    return tuple(
        StageTime(
            stage=number,
            engine=case.engines[number],
            planned_s=planned[number][0] if number < len(planned) else None,
            planned_device=planned[number][1] if number < len(planned) else None,
            compute_s=computed,
            copy_s=copied,
            weight_bytes=case.package.manifest.segments[number].weight_bytes,
        )
        for number, (computed, copied) in enumerate(stage_medians(trace, len(case.engines)))
    )


class _PlannedStage(msgspec.Struct):
    time_s: float
    device: str


class _Planned(msgspec.Struct):
    stages: tuple[_PlannedStage, ...] = ()


def _planned(package: Package) -> list[tuple[float, str]]:
    """Time and device of each stage in the package's plan; none where the plan says nothing of the kind."""
    try:
        plan = json_record(package.plan_bytes(), _Planned, str(package.path), what="has no plan", error=PlanError)
    except PlanError:
        return []
    return [(stage.time_s, stage.device) for stage in plan.stages]
