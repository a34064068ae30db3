"""Measure this machine: time operators, and make of the times an entry with error bars.

A share is the default times the median of predicted ÷ measured over the operators that tell it; its spread is half
of the middle half of those ratios. A model is never timed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import ModuleType

from partwise.calibration import run_onnxruntime, run_torch
from partwise.calibration.cases import CASES, Case, Prepared, case_graph
from partwise.calibration.here import this_machine
from partwise.errors import DeviceError
from partwise.hardware import Device, Source, arithmetic_share, memory_share
from partwise.profiling import Profile, estimate, profile

__all__ = ["Timed", "calibrate", "fit"]

ENGINES: Mapping[str, ModuleType] = {"torch": run_torch, "onnxruntime": run_onnxruntime}
FIGURES = ("memory", "vector", "matmul", "batched", "attention", "conv", "grouped")
"""In the order in which they are told: each one's prediction stands on those before it."""
PASSES, LEAST_ROUNDS, BUDGET_S = 3, 3, 0.2
"""Passes over all operators; of one operator in a pass: rounds at least, and seconds at most beyond them."""


@dataclass(frozen=True, slots=True)
class Timed:
    """An operator and how long it took."""

    case: Case
    seconds: float
    """Median of its rounds, in the pass where that was least: what disturbs a machine for a while only adds."""


def calibrate(
    engine: str = "torch",
    threads: int = 1,
    name: str = "here",
    progress: Callable[[str, int, int | None], None] = lambda _doing, _done, _total: None,
) -> tuple[Device, tuple[Timed, ...]]:
    """This machine as an entry, from operators timed on an engine.

    Args:
        engine: `torch` or `onnxruntime`.
        threads: of every operator.
        name: of the entry.
        progress: called with what is timed, how many are done and how many there are.

    Raises:
        DeviceError: an unknown engine.
        MissingExtraError: the engine is not installed.
    """
    if engine not in ENGINES:
        raise DeviceError(f"engine `{engine}`", "cannot be calibrated", expected=" | ".join(ENGINES))
    module = ENGINES[engine]
    if module is run_torch:
        run_torch.set_threads(threads)
    least, launch = dict.fromkeys(CASES, math.inf), math.inf
    for turn in range(PASSES):
        launch = min(launch, median_seconds(module.launches(threads)))
        for number, case in enumerate(CASES):
            progress(case.name, turn * len(CASES) + number, PASSES * len(CASES))
            least[case] = min(least[case], median_seconds(module.prepare(case, threads)))
    timed = tuple(Timed(case, seconds) for case, seconds in least.items())
    start = replace(_with_threads(this_machine(name), threads), launch_s=launch)
    return fit(start, timed, f"measured by `partwise calibrate` on {engine}, {threads} threads"), timed


def fit(device: Device, timed: Sequence[Timed], source: str) -> Device:
    """The device with shares and spreads that its timed operators tell.

    Args:
        device: with its launch time.
        timed: operators and their seconds.
        source: what the entry says of these figures.
    """
    counted = {case.case: profile(case_graph(case.case)) for case in timed}
    shares, spread = _defaults(device), dict[str, float]()
    for figure in FIGURES:
        known = replace(device, efficiency=shares)
        ratios = sorted(_ratio(known, counted[t.case], t.seconds) for t in timed if t.case.figure == figure)
        if ratios:
            middle = statistics.median(ratios)
            shares = shares | {figure: shares[figure] * middle}
            spread[figure] = (_quantile(ratios, 0.75) - _quantile(ratios, 0.25)) / 2 / middle
    measured = Source(figures=("efficiency", "spread", "launch_s"), text=source, date=date.today().isoformat())
    return replace(device, efficiency=shares, spread=spread, sources=(*device.sources, measured))


def median_seconds(prepared: Prepared) -> float:
    """Median time of an operator, warmed up once [s]."""
    prepared.call()
    taken: list[float] = []
    start = time.perf_counter()
    while len(taken) < LEAST_ROUNDS or time.perf_counter() - start < BUDGET_S:
        before = time.perf_counter()
        prepared.call()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken) / prepared.operators


def _ratio(device: Device, counted: Profile, seconds: float) -> float:
    """Predicted ÷ measured, the launch left out of both."""
    made = estimate(counted, device)
    launch = device.launch_s or 0.0
    return (made.seconds - launch) / max(seconds - launch, 0.05 * seconds)


def _defaults(device: Device) -> dict[str, float]:
    arithmetic = {figure: arithmetic_share(device, figure) for figure in FIGURES[2:]}
    return {"memory": memory_share(device), "vector": 1.0} | arithmetic


def _with_threads(device: Device, threads: int) -> Device:
    """The part of the machine that so many threads have."""
    assert device.units is not None  # of this machine
    share = threads / device.units
    peaks = {dtype: rate * share for dtype, rate in device.peak_flops_per_s.items()}
    return replace(device, units=threads, peak_flops_per_s=peaks)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
