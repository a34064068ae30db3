"""What this machine has: processors, graphics and neural units, and which engine reaches each of them.

A unit is listed once for each engine that found it, in that engine's own words, so that what stands under `engine`
is what `--engine` takes. What the bus lists and no engine does lacks its driver or its library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from partwise.calibration import this_machine
from partwise.errors import MissingExtraError
from partwise.extras import require
from partwise.runtime.engines.onnxruntime_providers import PROVIDERS
from partwise.runtime.threads import default_threads

__all__ = ["Cache", "EngineHere", "Inventory", "Processor", "UnitHere", "take_inventory"]

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_PCI = Path("/sys/bus/pci/devices")
_PCI_CLASSES = {"0x03": "gpu", "0x12": "accelerator"}
"""Display controllers and processing accelerators. Source: PCI Code and ID Assignment, revision 1.11, part 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One cache as the first core sees it."""

    level: int
    kind: str
    """`Data`, `Instruction` or `Unified`."""
    size_bytes: int
    shared_by: str
    """The logical processors that share it, as the system writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """The CPU and its memory."""

    name: str
    cores: int | None
    """Physical, of the machine; None where the system does not say."""
    logical: int | None
    usable: int
    """Cores that this process may use: the default threads of a run."""
    sockets: int | None
    caches: tuple[Cache, ...]
    memory_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitHere:
    """One unit, as one engine reaches it."""

    kind: str
    """`cpu`, `gpu`, `igpu`, `npu` or `accelerator`."""
    name: str
    memory_bytes: int | None
    engine: str | None
    """What `--engine` takes; None where no engine reaches it."""
    precisions: tuple[str, ...] = ()
    """Where the engine's library tells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHere:
    """One engine's library."""

    engine: str
    version: str | None
    """None: not installed."""
    devices: tuple[str, ...]
    """Devices or providers, in its own words."""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All of it."""

    processor: Processor
    engines: tuple[EngineHere, ...]
    units: tuple[UnitHere, ...]
    bus: tuple[UnitHere, ...]
    """Graphics and accelerators that the PCI bus lists, whether or not an engine reaches them."""


def take_inventory() -> Inventory:
    """Look at this machine."""
    found = [_asked(name, ask) for name, ask in _ENGINES.items()]
    units = [unit for _, several in found for unit in several]
    return Inventory(
        processor=_processor(),
        engines=tuple(engine for engine, _ in found),
        units=tuple(units),
        bus=tuple(_on_the_bus()),
    )


Asked = tuple[EngineHere, list[UnitHere]]


def _asked(name: str, ask: Callable[[], Asked]) -> Asked:
    try:
        return ask()
    except MissingExtraError as error:
        return EngineHere(engine=name, version=None, devices=(), hint=error.hint), []


def _torch() -> Asked:
    torch = require("torch")
    units = [_cpu("torch"), _cpu("compile")]
    for kind in ("cuda", "xpu", "mps"):
        module = getattr(torch, kind)
        for number in range(module.device_count() if module.is_available() else 0):
            units.append(_torch_unit(torch, kind, number))
    devices = tuple(unit.engine.partition(":")[2] or "cpu" for unit in units if unit.engine)
    return EngineHere(engine="torch", version=str(torch.__version__), devices=tuple(dict.fromkeys(devices))), units


def _torch_unit(torch: Any, kind: str, number: int) -> UnitHere:
    if kind == "mps":
        return UnitHere(kind="igpu", name="Apple GPU", memory_bytes=None, engine="torch:mps")
    about = getattr(torch, kind).get_device_properties(number)
    integrated = bool(getattr(about, "is_integrated", False) or getattr(about, "has_unified_memory", False))
    return UnitHere(
        kind="igpu" if integrated else "gpu",
        name=str(about.name),
        memory_bytes=int(about.total_memory),
        engine=f"torch:{kind}:{number}",
    )


def _onnxruntime() -> Asked:
    ort = require("onnxruntime")
    providers: list[str] = ort.get_available_providers()
    units = [_cpu("onnxruntime")]
    for word in (word for word, name in PROVIDERS.items() if name in providers and word != "cpu"):
        kind = "cpu" if word == "openvino" else "gpu"
        units.append(UnitHere(kind=kind, name=PROVIDERS[word], memory_bytes=None, engine=f"onnxruntime:{word}"))
    return EngineHere(engine="onnxruntime", version=ort.__version__, devices=tuple(providers)), units


def _openvino() -> Asked:
    openvino = require("openvino")
    core = openvino.Core()
    units = [_openvino_unit(core, device) for device in core.available_devices]
    version = openvino.__version__.partition("-")[0]
    return EngineHere(engine="openvino", version=version, devices=tuple(core.available_devices)), units


def _openvino_unit(core: Any, device: str) -> UnitHere:
    known = core.get_property(device, "SUPPORTED_PROPERTIES")
    kind = device.partition(".")[0].lower()
    if kind == "gpu" and "DEVICE_TYPE" in known and "INTEGRATED" in str(core.get_property(device, "DEVICE_TYPE")):
        kind = "igpu"
    memory = "GPU_DEVICE_TOTAL_MEM_SIZE"
    return UnitHere(
        kind=kind,
        name=str(core.get_property(device, "FULL_DEVICE_NAME")),
        memory_bytes=int(core.get_property(device, memory)) if memory in known else None,
        engine="openvino" if device == "CPU" else f"openvino:{device}",
        precisions=tuple(
            word for word in core.get_property(device, "OPTIMIZATION_CAPABILITIES") if _is_precision(word)
        ),
    )


def _is_precision(word: str) -> bool:
    """Of OpenVINO's capabilities; others are kinds of kernels."""
    return word == "BIN" or word.startswith(("FP", "BF", "INT"))


def _cpu(engine: str) -> UnitHere:
    here = this_machine()
    return UnitHere(kind="cpu", name=here.title, memory_bytes=here.memory_bytes, engine=engine)


def _on_the_bus() -> Iterator[UnitHere]:
    """Graphics and accelerators that the PCI bus lists, whether or not anything can use them."""
    for device in sorted(_PCI.glob("*")):
        try:
            code = (device / "class").read_text().strip()
            ids = [(device / name).read_text().strip().removeprefix("0x") for name in ("vendor", "device")]
        except OSError:
            continue
        if kind := _PCI_CLASSES.get(code[:4]):
            yield UnitHere(kind=kind, name=f"PCI {':'.join(ids)}", memory_bytes=None, engine=None)


def _processor() -> Processor:
    here, memory = this_machine(), psutil.virtual_memory()
    return Processor(
        name=here.title,
        cores=psutil.cpu_count(logical=False),
        logical=os.cpu_count(),
        usable=default_threads(),
        sockets=_sockets(),
        caches=tuple(_caches()),
        memory_bytes=memory.total,
        available_bytes=memory.available,
    )


def _sockets() -> int | None:
    packages = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/physical_package_id")
    return len({path.read_text() for path in packages}) or None


def _caches() -> Iterator[Cache]:
    for index in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size, shared = (
                (index / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(size[-1:], 1)
        yield Cache(level=int(level), kind=kind, size_bytes=int(size.rstrip("KM")) * unit, shared_by=shared)


_ENGINES: dict[str, Callable[[], Asked]] = {"torch": _torch, "onnxruntime": _onnxruntime, "openvino": _openvino}
