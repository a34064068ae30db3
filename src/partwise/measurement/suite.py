"""The source's acceptance list on the machine at hand: each criterion met, missed or *not measurable here*.

Source: the third source document (split CPU/iGPU inference), its acceptance criteria and success metrics. Where its
figure is of a certain model (Phi-tiny-MoE), the built-in blocks cannot stand for it: give that model's package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from partwise.errors import PartwiseError
from partwise.measurement.bench import bench_package
from partwise.measurement.case import Settings
from partwise.measurement.inventory import Inventory, UnitHere, take_inventory
from partwise.measurement.record import Bench
from partwise.packaging import Package
from partwise.runtime.executors import Progress

__all__ = ["SUITE_VERSION", "Criterion", "Found", "Machine", "NotMeasurableError", "Result", "Status", "Suite", "judge"]

SUITE_VERSION = "partwise.suite/1"


class Status(StrEnum):
    """What became of a criterion."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURABLE = "not measurable here"


class NotMeasurableError(Exception):
    """This machine, this package or this version cannot show it; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A measured figure."""

    value: float
    unit: str
    met: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the probes measure on; dear things are measured once."""

    package: Package
    is_built_in: bool
    """Whether the package is the suite's own blocks, which stand for no model."""
    seconds: float
    rounds: int

    @cached_property
    def inventory(self) -> Inventory:
        """What is here."""
        return take_inventory()

    @cached_property
    def bench(self) -> Bench:
        """The package beside the uncut model."""
        return bench_package(self.package, Settings(seconds=self.seconds, rounds=self.rounds))

    @property
    def graphics(self) -> UnitHere:
        """The first graphics unit that an engine for the package's format reaches.

        Raises:
            NotMeasurableError: there is none.
        """
        wanted = ("torch",) if self.package.manifest.format == "torch" else ("onnxruntime", "openvino")
        for unit in self.inventory.units:
            if unit.kind in ("gpu", "igpu") and unit.engine and unit.engine.partition(":")[0] in wanted:
                return unit
        raise NotMeasurableError("no graphics unit that an engine reaches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One line of the list."""

    name: str
    asks: str
    suites: tuple[str, ...]
    probe: Callable[[Machine], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was found for a criterion."""

    name: str
    asks: str
    status: Status
    value: float | None = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """All results, with what they were measured on."""

    version: str
    suite: str
    package: str
    model: str
    inventory: Inventory
    results: tuple[Result, ...]


def judge(name: str, criteria: tuple[Criterion, ...], machine: Machine, on_progress: Progress | None = None) -> Suite:
    """Probe every criterion of a suite, one after the other."""
    chosen = [criterion for criterion in criteria if name in criterion.suites]
    results = list[Result]()
    for number, criterion in enumerate(chosen):
        if on_progress is not None:
            on_progress(criterion.name, number, len(chosen))
        results.append(_result(criterion, machine))
    return Suite(
        version=SUITE_VERSION,
        suite=name,
        package=machine.package.digest,
        model=machine.package.manifest.model,
        inventory=machine.inventory,
        results=tuple(results),
    )


def _result(criterion: Criterion, machine: Machine) -> Result:
    """A probe that fails has missed its criterion, and says why."""
    try:
        found = criterion.probe(machine)
    except NotMeasurableError as reason:
        return Result(name=criterion.name, asks=criterion.asks, status=Status.NOT_MEASURABLE, note=str(reason))
    except PartwiseError as error:
        return Result(name=criterion.name, asks=criterion.asks, status=Status.MISSED, note=str(error))
    return Result(
        name=criterion.name,
        asks=criterion.asks,
        status=Status.MET if found.met else Status.MISSED,
        value=found.value,
        unit=found.unit,
        note=found.note,
    )
