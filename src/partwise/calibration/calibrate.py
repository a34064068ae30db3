"""Measure this machine: time operators, and make of the times an entry with error bars.

A share is the median of those with which each operator that tells it is predicted as it was measured; its spread is
half of the middle half of them. A model is never timed.
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
RATES, PASSES_OVER = ("memory", "layout", "packing"), ("vector", "norm", "softmax", "tanh", "max_pool")
FIGURES = ("memory", *PASSES_OVER, "matmul", "batched", "attention", "layout", "conv", "grouped", "packing")
"""In the order in which they are told, twice: each one's prediction stands on the others."""
_IN_PLACE = {"layout": "grouped", "packing": "conv"}
"""What cases tell where a convolution takes arguments and weights as they lie."""
LEAST, MOST, MOST_OF_ASSUMED, HALVINGS = 1e-4, 2.0, 1e2, 40
"""Shares that are tried, and how often the range is halved. A clock may be above the stated one; the memory's rate is
assumed here (`ASSUMED_BYTES_PER_S`)."""
PASSES, LEAST_ROUNDS, BUDGET_S = 3, 3, 0.15
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
    least, launch, conv_launch = dict.fromkeys(CASES, math.inf), math.inf, math.inf
    cold = list[float]()
    for turn in range(PASSES):
        mixed, alone = (median_seconds(prepared) for prepared in module.cold_launches(threads))
        cold.append(mixed - alone)
        launch = min(launch, median_seconds(module.launches(threads)))
        conv_launch = min(conv_launch, median_seconds(module.conv_launches(threads)))
        for number, case in enumerate(CASES):
            progress(case.name, turn * len(CASES) + number, PASSES * len(CASES))
            least[case] = min(least[case], median_seconds(module.prepare(case, threads)))
    timed = tuple(Timed(_told(case, module), seconds) for case, seconds in least.items())
    start = replace(_with_threads(this_machine(name), threads), launch_s=launch, conv_launch_s=conv_launch)
    found = fit(start, timed, f"measured by `partwise calibrate` on {engine}, {threads} threads")
    return replace(found, launch_s=max(launch, statistics.median(cold))), timed  # within a model none is warm


def fit(device: Device, timed: Sequence[Timed], source: str) -> Device:
    """The device with shares and spreads that its timed operators tell.

    Args:
        device: with its launch time.
        timed: operators and their seconds.
        source: what the entry says of these figures.
    """
    counted = [(case.case.figure, profile(case_graph(case.case)), case.seconds) for case in timed]
    told = [figure for figure in FIGURES if any(figure == of for of, _, _ in counted)]
    shares, spread = _defaults(device, told), dict[str, float]()
    for figure in (*told, *told):
        known = replace(device, efficiency=shares)
        found = sorted(_share(known, figure, count, seconds) for of, count, seconds in counted if of == figure)
        middle = statistics.median(found)
        shares = shares | {figure: middle}
        spread[figure] = (_quantile(found, 0.75) - _quantile(found, 0.25)) / 2 / middle
    figures = ("efficiency", "spread", "launch_s", "conv_launch_s")
    measured = Source(figures=figures, text=source, date=date.today().isoformat())
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


def _share(device: Device, figure: str, counted: Profile, seconds: float) -> float:
    """With which share the operator is predicted as it was measured; an end of those tried where with none."""
    low, high = LEAST, MOST_OF_ASSUMED if figure in RATES else MOST
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        tried = replace(device, efficiency={**device.efficiency, figure: middle})
        if estimate(counted, tried).seconds > seconds:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def _defaults(device: Device, told: Sequence[str]) -> dict[str, float]:
    passes = dict.fromkeys(RATES, memory_share(device)) | dict.fromkeys(PASSES_OVER, 1.0)
    return {figure: passes.get(figure) or arithmetic_share(device, figure) for figure in told}


def _told(case: Case, module: ModuleType) -> Case:
    """What a case tells on an engine: where nothing is laid out anew, no rate of doing so."""
    return case if module.LAYS_OUT else replace(case, figure=_IN_PLACE.get(case.figure, case.figure))


def _with_threads(device: Device, threads: int) -> Device:
    """The part of the machine that so many threads have."""
    assert device.units is not None  # of this machine
    share = threads / device.units
    peaks = {dtype: rate * share for dtype, rate in device.peak_flops_per_s.items()}
    return replace(device, units=threads, peak_flops_per_s=peaks)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
