"""Probes that need a graphics unit: beside the CPU, after the CPU, and asked for more than it has."""

from __future__ import annotations

import statistics
import time

from partwise.extras import require
from partwise.measurement.replica import Replica
from partwise.measurement.suite import Found, Machine, NotMeasurableError
from partwise.runtime import DIFFERENCE_LIMIT, run_package
from partwise.runtime.engines import make_engine
from partwise.runtime.engines.failures import engine_failure
from partwise.runtime.executors import Options, Values, start_executor
from partwise.runtime.inputs import open_inputs

__all__ = ["contention", "out_of_memory", "split", "split_rate"]

_TOGETHER = 0.90
"""Of a lone unit's rate: this project's own target; the source has no figure."""
_WARM, _MANY = 5, 50
"""Requests before and while a split is timed. Assumed."""


def contention(machine: Machine) -> Found:
    """Rates of the model on the CPU and on the graphics unit at once, over those of each alone; the worse of both."""
    assert machine.graphics.engine is not None
    engines = (machine.package.manifest.engine, machine.graphics.engine)
    several = [Replica(machine.package, engine, 1, {}) for engine in engines]
    try:
        for replica in several:
            replica.ready()
        alone = [_rate(replica, machine.seconds) for replica in several]
        for replica in several:
            replica.begin(machine.seconds)
        shares = [replica.per_s() / before for replica, before in zip(several, alone, strict=True)]
    finally:
        for replica in several:
            replica.close()
    note = ", ".join(f"{engine} keeps {share:.2f}" for engine, share in zip(engines, shares, strict=True))
    return Found(value=min(shares), unit="of alone", met=min(shares) >= _TOGETHER, note=note)


def _rate(replica: Replica, seconds: float) -> float:
    replica.begin(seconds)
    return replica.per_s()


def split(machine: Machine) -> Found:
    """The last stage on the graphics unit, the others on the CPU: how far from the CPU alone."""
    last = len(machine.package.manifest.segments) - 1
    engine = f"{last}={machine.graphics.engine}"
    record = run_package(machine.package, engine=engine, executor="processes", threads=1, save=False).record
    worst = max(record.inexact.relative.values()) if record.inexact else 0.0
    return Found(value=worst, unit="of largest", met=worst <= DIFFERENCE_LIMIT, note=engine)


def split_rate(machine: Machine) -> Found:
    """Requests a second of the split over those of the CPU alone, in turns."""
    last, inputs = len(machine.package.manifest.segments) - 1, next(iter(open_inputs(None, machine.package)))
    names = [machine.package.manifest.engine] * last
    ratios = list[float]()
    for _ in range(machine.rounds):
        rates = list[float]()
        for final in (machine.graphics.engine, machine.package.manifest.engine):
            rates.append(_stages_per_s(machine, [*names, str(final)], inputs))
        ratios.append(rates[0] / rates[1])
    return Found(value=statistics.median(ratios), unit="× CPU", met=statistics.median(ratios) >= 1)


def _stages_per_s(machine: Machine, engines: list[str], inputs: Values) -> float:
    options = Options(engine=",".join(engines), threads=1)
    with start_executor("processes", machine.package, options) as executor:
        executor.ready()
        for _ in executor.run([inputs] * _WARM):
            pass
        start = time.monotonic()
        for _ in executor.run([inputs] * _MANY):
            pass
        return _MANY / (time.monotonic() - start)


def out_of_memory(machine: Machine) -> Found:
    """More memory than the unit has is an error that a scheduler can act on."""
    unit, torch = machine.graphics, require("torch")
    if unit.memory_bytes is None or not (unit.engine or "").startswith("torch:"):
        raise NotMeasurableError("its engine does not tell its memory")
    make_engine(str(unit.engine), 1)
    try:
        torch.empty(2 * unit.memory_bytes, dtype=torch.uint8, device=str(unit.engine).partition(":")[2])
    except RuntimeError as error:
        kind = engine_failure("suite", "torch failed", error).kind
        return Found(value=1.0, unit="told", met=kind == "memory", note=kind)
    return Found(value=0.0, unit="told", met=False, note="twice its memory was given out")
