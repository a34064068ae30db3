"""The user's files that planning and profiling read: plans, workloads, hardware, clusters, constraints.

The packages below parse text and data; this is where they are read, and where a file that cannot be is said.
"""

from __future__ import annotations

from pathlib import Path

from partwise.errors import DeviceError, InputError, PlanError
from partwise.hardware import Cluster, Device, parse_cluster, parse_hardware
from partwise.planning import (
    UNCONSTRAINED,
    Constraints,
    Plan,
    Workload,
    parse_constraints,
    parse_workload,
    plan_from_data,
)
from partwise.strict_json import json_object

__all__ = ["load_plan", "read_cluster", "read_constraints", "read_devices", "read_workload"]


def load_plan(path: str | Path) -> Plan:
    """A plan saved with its graph.

    Raises:
        PlanError: the file cannot be read, or is no plan.
    """
    data = json_object(Path(path), expected="a plan saved by `partwise plan -o`", error=PlanError)
    return plan_from_data(data, subject=str(path))


def read_workload(path: str | Path) -> Workload:
    """A workload in the public benchmark's format.

    Raises:
        InputError: the file cannot be read, or is no workload.
    """
    data = json_object(Path(path), expected="a workload of msr-fiddle/dnn-partitioning")
    return parse_workload(data, str(path))


def read_devices(path: Path) -> tuple[Device, ...]:
    """The devices of a TOML file; at least one.

    Raises:
        DeviceError: the file cannot be read, or an entry is wrong.
    """
    try:
        found = parse_hardware(path.read_text(encoding="utf-8"), str(path)).devices
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DeviceError(str(path), f"cannot be read ({reason})") from None
    if not found:
        raise DeviceError(str(path), "has no device", expected="a table [device.NAME]")
    return found


def read_cluster(given: Cluster | str | Path) -> Cluster:
    """A cluster, or that of a TOML file.

    Raises:
        DeviceError: the file cannot be read, or is no cluster.
    """
    if isinstance(given, Cluster):
        return given
    try:
        return parse_cluster(Path(given).read_text(encoding="utf-8"), str(given))
    except OSError as error:
        raise DeviceError(str(given), f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DeviceError(str(given), "is no text", expected="a TOML file") from None


def read_constraints(given: Constraints | str | Path | None) -> Constraints:
    """Constraints, those of a TOML file, or none.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    if given is None or isinstance(given, Constraints):
        return given or UNCONSTRAINED
    try:
        return parse_constraints(Path(given).read_text(encoding="utf-8"), str(given))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(str(given), f"cannot be read ({reason})") from None
