"""What a worker says of itself before it gets anything to do, and who is refused.

The statement travels over Ray's channel, which only holders of the cluster's token can use: so the public keys of the
links are exchanged, and no secret ever is.
"""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from partwise.errors import RunError
from partwise.packaging.manifest import Descriptor, manifest_to_bytes
from partwise.packaging.package import Package
from partwise.runtime.packet import PACKET_VERSION
from partwise.runtime.schedule import Capacity
from partwise.runtime.trace import Probe

__all__ = ["Invitation", "Statement", "capacity_of", "invitation", "manifest_of", "own_version", "refuse_strangers"]


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What the head tells a worker when it starts it."""

    version: str
    number: int
    key: str
    """Of the head's link."""
    package: str
    """Digest."""
    manifest_bytes: int
    probe: Probe


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers."""

    version: str
    packets: str
    """Version of the packets that it speaks."""
    host: str
    pid: int
    key: str
    endpoint: str
    package: str | None = None
    """Digest of the package that it has been given by its owner; None: it fetches what it is asked for."""
    clock_s: float = 0.0
    """Of its monotonic clock, when it said so."""


def own_version() -> str:
    """This Partwise's."""
    return version("partwise")


def invitation(package: Package, number: int, key: str, probe: Probe) -> Invitation:
    """For one worker of a run."""
    size = len(manifest_to_bytes(package.manifest))
    return Invitation(version=own_version(), number=number, key=key, package=package.digest, manifest_bytes=size,
                      probe=probe)  # fmt: skip


def manifest_of(invited: Invitation) -> Descriptor:
    """The manifest as a blob."""
    return Descriptor(media_type="application/vnd.partwise.manifest+json", digest=invited.package,
                      size=invited.manifest_bytes)  # fmt: skip


def refuse_strangers(invited: Invitation, stated: Statement) -> None:
    """Raise unless a worker may take part.

    Raises:
        RunError: it is of another version, or has other weights.
    """
    subject = f"worker {invited.number} on {stated.host} (process {stated.pid})"
    if (stated.version, stated.packets) != (invited.version, PACKET_VERSION):
        ours, theirs = f"{invited.version}, {PACKET_VERSION}", f"{stated.version}, {stated.packets}"
        raise RunError(subject, "is of another version of Partwise", expected=ours, got=theirs,
                       hint="install the same version everywhere.")  # fmt: skip
    if stated.package is not None and stated.package != invited.package:
        raise RunError(subject, "has other weights: another package", expected=invited.package, got=stated.package,
                       hint="start it without --package, and it fetches what it needs.")  # fmt: skip


def capacity_of(resources: dict[str, float]) -> Capacity:
    """What a worker takes, from the resources that its node states."""
    names = {"bytes": "partwise_bytes", "parameters": "partwise_parameters", "layers": "partwise_layers"}
    return Capacity(**{field: int(resources[name]) for field, name in names.items() if name in resources})
