"""A configuration against a package: what is obeyed, and what nothing here can obey, which is refused by its name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from partwise.errors import InputError
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.runtime.bandwidth import make_chain
from partwise.runtime.config.schema import Config, Devices
from partwise.runtime.engines import ENGINES, make_engine, stage_engines
from partwise.runtime.engines.spec import parse_engine
from partwise.runtime.governor import Accounted, Governor
from partwise.runtime.pace import Pace
from partwise.runtime.stage import Weights
from partwise.runtime.thresholds import Gate, Thresholds
from partwise.units import format_bytes, parse_bytes

__all__ = ["check_config", "configured_engine", "configured_workers", "make_pace", "stage_devices"]
_CPU = "cpu"


def check_config(config: Config, package: Package) -> None:
    """Raise unless everything that the configuration asks for can be done with this package.

    Raises:
        InputError: the key, and why not.
    """
    wanted = config.package
    if wanted is not None and not package.digest.removeprefix("sha256:").startswith(wanted.removeprefix("sha256:")):
        raise InputError("package", "is not the one that the configuration is for", expected=wanted, got=package.digest)
    for name, asked, why in (
        ("pinned", config.memory.pinned, "no engine here copies to a device from pinned memory"),
        ("unified", config.memory.unified, "no engine here shares memory with a device"),
    ):
        if asked:
            raise InputError(f"memory.{name}", f"nothing here can do that: {why}")


def configured_workers(config: Config, package: Package, workers: int | None) -> int | None:
    """How many workers compute here so that what they hold at once, as planned, fits the budget.

    Args:
        config: whose `memory`.
        package: whose stages.
        workers: of the command line or the configuration; None lets a budget for streamed weights decide, and is
            one a stage otherwise.

    Raises:
        InputError: they hold more, before a weight is read.
    """
    if config.memory.budget is None:
        return workers
    budget = parse_bytes(config.memory.budget)
    needs = sorted((max(s.peak_bytes, s.weight_bytes) for s in package.manifest.segments), reverse=True)
    copies = max(0, (workers or 0) - len(needs))  # workers beyond the stages have a stage that another has too
    if config.memory.weights is Weights.RESIDENT:
        _check_budget(budget, [*needs, *needs[:1] * copies], f"{len(needs)} stages", package)
        return workers
    if workers is None:
        workers = max((n for n in range(1, len(needs) + 1) if sum(needs[:n]) <= budget), default=1)
    at_once = f"{min(workers, len(needs))} of {len(needs)} stages at once"
    _check_budget(budget, [*needs[:workers], *needs[:1] * copies], at_once, package)
    return workers


def configured_engine(config: Config, package: Package, engine: str | None) -> str:
    """The engine of each stage with the device that it is mapped to, as `--engine` takes them.

    Args:
        config: whose `devices`.
        package: whose stages.
        engine: of the command line or the configuration; None for the package's own.

    Raises:
        InputError: what `stage_devices` raises; an engine with a device of its own, and another in the map.
        EngineMissingError: a device that is not here.
    """
    engines = stage_engines(engine, len(package.manifest.segments), package.manifest.engine)
    devices = stage_devices(config.devices, package)
    found = [_on_device(name, device) for name, device in zip(engines, devices, strict=True)]
    for name in sorted({name for name, device in zip(found, devices, strict=True) if device != _CPU}):
        make_engine(name, 1)  # says at once what is not here
    return ",".join(found)


def stage_devices(devices: Devices, package: Package) -> tuple[str, ...]:
    """The device of each stage.

    Raises:
        InputError: a stage that the package lacks, operations of one stage on two devices.
    """
    count = len(package.manifest.segments)
    for stage in devices.stages:
        if not 0 <= stage < count:
            raise InputError(f"devices.stages, {stage}", "there is no such stage", expected=f"0 to {count - 1}")
    return tuple(devices.stages.get(stage) or _of_operations(devices, package, stage) for stage in range(count))


def make_pace(config: Config) -> Pace | None:
    """What holds requests back; None where nothing does.

    Raises:
        InputError: a threshold on something that cannot be read here, an unknown provider.
    """
    asked, bandwidth = config.thresholds, config.bandwidth
    free = None if asked.memory is None else parse_bytes(asked.memory)
    limits = Thresholds(load=asked.load, memory_bytes=free, temperature_c=asked.temperature)
    gate = None if limits == Thresholds() else Gate(limits)
    if bandwidth is None:
        return None if gate is None else Pace(gate)
    accounted = Accounted()
    governor = Governor(
        roof_bytes_per_s=parse_bytes(bandwidth.roof), share=bandwidth.share, burst_s=bandwidth.burst_ms / 1000
    )
    return Pace(gate, governor, make_chain(bandwidth.providers, accounted), accounted)


def _on_device(engine: str, device: str) -> str:
    """An engine on a device: in the engine's own words, or an engine with its device (`openvino:GPU`)."""
    if device == _CPU:
        return engine
    if parse_engine(device).name in ENGINES:
        return device
    if parse_engine(engine).device is not None or parse_engine(engine).fake is not None:
        raise InputError(f"engine `{engine}`", "has a device of its own, and the map has another", got=device)
    return f"{engine}:{device}"


def _of_operations(devices: Devices, package: Package, stage: int) -> str:
    """The device that the operations of a stage are mapped to."""
    if not devices.operations:
        return devices.default
    found = {op: _device(devices, op) for op in sorted(_operations(package, stage))}
    chosen = set(found.values())
    if len(chosen) > 1:
        first, second = (next(op for op in found if found[op] == device) for device in sorted(chosen)[:2])
        raise InputError(
            f"stage {stage}", f"holds `{first}` for `{found[first]}` and `{second}` for `{found[second]}`",
            hint="a stage runs on one device: cut between them, with plan --constraints.",
        )  # fmt: skip
    return chosen.pop() if chosen else devices.default


def _device(devices: Devices, op: str) -> str:
    """By its own name, or else by the longest pattern that fits."""
    fitting = [pattern for pattern in devices.operations if fnmatchcase(op, pattern)]
    return devices.operations[max(fitting, key=len)] if fitting else devices.default


def _operations(package: Package, stage: int) -> set[str]:
    graph: Graph | None = package.segment(stage).ir
    if graph is None:
        raise InputError("devices.operations", "an ONNX package's segments are not read here", hint="devices.stages")
    return {node.op for node in graph.nodes}


def _check_budget(budget: int, needs: Sequence[int], who: str, package: Package) -> None:
    """The planner's figures against what may be held."""
    if sum(needs) <= budget:
        return
    segments = package.manifest.segments
    weights = format_bytes(sum(segment.weight_bytes for segment in segments))
    largest = max(range(len(segments)), key=lambda number: segments[number].peak_bytes)
    raise InputError(
        "memory.budget",
        f"{who} need {format_bytes(sum(needs))} (all weights {weights}; the largest is stage {largest})",
        expected=f"at most {format_bytes(budget)}",
    )
