"""The criteria of the suites, and how each is probed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from partwise.extras import require
from partwise.measurement.experts_check import kernels
from partwise.measurement.graphics import contention, out_of_memory, split, split_rate
from partwise.measurement.suite import Criterion, Found, Machine, NotMeasurableError
from partwise.runtime import DIFFERENCE_LIMIT, Policy, run_package
from partwise.runtime.executors import Options, start_executor
from partwise.runtime.inputs import open_inputs
from partwise.runtime.trace import Probe, Trace
from partwise.units import format_bytes

__all__ = ["CRITERIA", "SUITES", "copy_bytes_per_s"]

SUITES = ("laptop", "gpu")
_MEMORY_BYTES, _BUS_BYTES_PER_S = 8e9, 40e9
"""The source's success metrics: memory < 8 GB, bandwidth < 40 GB/s."""
_CEILING = 0.90
"""Of the uncut replicas' rate: this project's own target; the source has no figure."""
_NO_DECODE = "this version runs no token loop: `generate` is not made yet"
_COPY_BYTES = 256 << 20


def _tokens(machine: Machine) -> Found:
    del machine
    raise NotMeasurableError(_NO_DECODE)


def _memory(machine: Machine) -> Found:
    """Peak resident memory of all stage processes together."""
    trace = Trace()
    options = Options(engine=machine.package.manifest.engine, threads=1, trace=trace, probe=Probe(memory=True))
    with start_executor("processes", machine.package, options) as executor:
        executor.ready()
        for _ in executor.run([next(iter(open_inputs(None, machine.package)))] * 3):
            pass
    peaks: dict[int, int] = {}
    for span in trace.segments:
        if span.peak_bytes is None:
            raise NotMeasurableError("the system does not tell a process's peak memory")
        peaks[span.stage] = max(peaks.get(span.stage, 0), span.peak_bytes)
    total = sum(peaks.values())
    if machine.is_built_in:
        raise NotMeasurableError(f"of the source's model; the built-in blocks take {format_bytes(total)}")
    return Found(value=total / 1e9, unit="GB", met=total < _MEMORY_BYTES)


def _bandwidth(machine: Machine) -> Found:
    """Bytes that the stages must move (weights and what crosses), over time; beside what a copy reaches."""
    rate = max(found.per_s for found in machine.bench.arrangements)
    weights = sum(segment.weight_bytes for segment in machine.package.manifest.segments)
    moved, roof = weights * rate, copy_bytes_per_s(machine.seconds)
    note = f"weights once a request, accounted and not counted; a copy reaches {roof / 1e9:.1f} GB/s here"
    return Found(value=moved / 1e9, unit="GB/s", met=moved < _BUS_BYTES_PER_S, note=note)


def _pipelining(machine: Machine) -> Found:
    if machine.bench.ceiling is None or machine.bench.ceiling.replicas < 2:
        raise NotMeasurableError("one core: no two stages work at once")
    best = max(machine.bench.arrangements, key=lambda found: found.of_ceiling or 0.0)
    share = best.of_ceiling or 0.0
    return Found(value=share, unit="of replicas", met=share >= _CEILING, note=f"executor {best.executor}")


def _vendor(machine: Machine) -> Found:
    del machine
    torch = require("torch")
    found = bool(torch.backends.mkldnn.is_available())
    return Found(value=float(found), unit="oneDNN", met=found, note=f"MKL: {torch.backends.mkl.is_available()}")


def _cpu_alone(machine: Machine) -> Found:
    """The CPU-only path: the stages as processes give the bits of the stages in this one."""
    apart, here = (
        run_package(machine.package, executor=executor, threads=1, save=False).requests[0].record.outputs
        for executor in ("processes", "in-process")
    )
    return Found(value=float(apart == here), unit="equal", met=apart == here, note="processes and in one process")


def _fallback(machine: Machine) -> Found:
    """The last stage's device is full (a fake one): the stage goes to the CPU, the bits stay, the record says so."""
    manifest = machine.package.manifest
    engine = f"{len(manifest.segments) - 1}=fake:{manifest.engine}+memory=1B"
    policy = Policy(cpu_fallback=True)
    given: dict[str, Any] = {"executor": "processes", "threads": 1, "save": False}
    moved = run_package(machine.package, engine=engine, policy=policy, **given)
    plain = run_package(machine.package, **given)
    equal = moved.requests[0].record.outputs == plain.requests[0].record.outputs
    said = "; ".join(dict.fromkeys(incident.what for incident in moved.record.incidents))
    return Found(value=float(equal), unit="equal", met=equal and bool(said), note=f"a fake device; the record: {said}")


def copy_bytes_per_s(seconds: float) -> float:
    """Bytes a second that one thread's copy reads and writes, the best of several: a roof that is measured."""
    source, target = np.ones(_COPY_BYTES, np.uint8), np.empty(_COPY_BYTES, np.uint8)
    np.copyto(target, source)  # pages are given out at the first write
    deadline, best = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline or not best:
        start = time.monotonic()
        np.copyto(target, source)
        best = max(best, 2 * _COPY_BYTES / (time.monotonic() - start))
    return best


def _criterion(name: str, asks: str, probe: object, *suites: str) -> Criterion:
    return Criterion(name=name, asks=asks, suites=suites or SUITES, probe=probe)  # pyright: ignore[reportArgumentType]


CRITERIA = (
    _criterion("latency", "≥ 10 tokens/s, Phi-tiny-MoE", _tokens, "laptop"),
    _criterion("throughput", "≥ 50 tokens/s, batched", _tokens, "laptop"),
    _criterion("memory", "< 8 GB, all processes", _memory, "laptop"),
    _criterion("bandwidth", "< 40 GB/s of the bus", _bandwidth, "laptop"),
    _criterion("pipelining", "≥ 0.90 of uncut replicas", _pipelining),
    _criterion("contention", "≥ 0.90 of alone, each", contention),
    _criterion("kernels", "experts within 1e-5", kernels),
    _criterion("vendor kernels", "oneDNN in use", _vendor),
    _criterion("CPU-only path", "runs, same bits", _cpu_alone),
    _criterion("fallback", "a full device: CPU", _fallback),
    _criterion("split", f"within {DIFFERENCE_LIMIT:g} of the CPU", split),
    _criterion("split rate", "no slower than the CPU", split_rate),
    _criterion("out of memory", "told as what it is", out_of_memory),
)
