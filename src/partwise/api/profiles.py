"""graph → profile: what a graph costs, counted and on devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from partwise import profiling
from partwise.errors import InputError
from partwise.hardware import Device, catalog, find_device
from partwise.ir import Graph
from partwise.plan_files import read_devices
from partwise.profiling import Estimate, Profile, Rules, Unit

__all__ = ["devices", "estimate", "estimate_counted", "fusion_rules", "profile"]


def profile(graph: Graph, sizes: Mapping[str, int] | None = None) -> Profile:
    """What a graph costs: graph → profile.

    Args:
        graph: a captured graph.
        sizes: values for some of its symbols (`{"batch": 8}`); the others keep those of the capture.

    Raises:
        InputError: a symbol that the graph does not have.
    """
    return profiling.profile(graph, sizes)


def devices(names: str | Sequence[str]) -> tuple[Device, ...]:
    """Devices by name, as `profile --hardware` takes them.

    Args:
        names: of the catalog, `all` of it, or TOML files with entries of one's own; several as a sequence or
            separated by commas.

    Raises:
        DeviceError: an unknown name (the message has the nearest), or a file that is wrong.
    """
    found: list[Device] = []
    for name in names.split(",") if isinstance(names, str) else names:
        if name == "all":
            found.extend(catalog().devices)
        elif name.endswith(".toml"):
            found.extend(read_devices(Path(name)))
        else:
            found.append(find_device(name))
    return tuple(found)


def estimate(
    graph: Graph,
    device: Device | str,
    sizes: Mapping[str, int] | None = None,
    *,
    estimator: str = "roofline",
    fuse: str = "none",
) -> Estimate:
    """What a graph takes on a device: time, energy, utilization.

    Args:
        graph: a captured graph.
        device: an entry, or the name of one.
        sizes: values for some of the graph's symbols; the others keep those of the capture.
        estimator: `roofline`, or `simple` for the formulas of the source document.
        fuse: which nodes run as one kernel: `none`, `source`, `patterns` or `optimal`.

    Raises:
        DeviceError: an unknown name.
        InputError: a symbol that the graph does not have, or an unknown estimator.
    """
    known = devices(device)[0] if isinstance(device, str) else device
    return estimate_counted(graph, profile(graph, sizes), known, estimator, fuse)


def estimate_counted(
    graph: Graph, counted: Profile, device: Device, estimator: str = "roofline", fuse: str = "none"
) -> Estimate:
    """`estimate` of a graph whose costs are counted already."""
    match estimator:
        case "roofline":
            return profiling.estimate(counted, device, _groups(graph, counted, fuse))
        case "simple":
            return profiling.simple_estimate(graph, counted, device)
        case _:
            raise InputError("estimator", "is unknown", expected="roofline or simple", got=estimator)


def fusion_rules(fuse: str) -> Rules:
    """The set of rules of this name, or an error that names them all."""
    try:
        return Rules(fuse)
    except ValueError:
        raise InputError("fuse", "is no set of rules", expected=" | ".join(Rules), got=fuse) from None


def _groups(graph: Graph, counted: Profile, fuse: str) -> Sequence[Unit] | None:
    rules = fusion_rules(fuse)
    return None if rules is Rules.NONE else profiling.fuse(graph, counted, rules=rules).units
