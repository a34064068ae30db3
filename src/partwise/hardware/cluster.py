"""The devices that a model may be divided among, and the links between them.

A file is TOML: `[[member]]` tables name a device, `[links]` what connects them, `[pools]` memory that several share;
`[device.NAME]` and `[link.NAME]` are own entries, as in the catalog's files (docs/planning.md).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf
from typing import Any, Literal

import msgspec

from partwise.errors import DeviceError, InputError
from partwise.hardware.catalog import Catalog, catalog, catalog_from_data, find_device, find_link
from partwise.hardware.device import Device, Link
from partwise.hardware.reference import REFERENCE_DEVICE, REFERENCE_LINK
from partwise.units import parse_bytes

__all__ = ["REFERENCE_CLUSTER", "Cluster", "Member", "Wire", "equal_devices", "parse_cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One device of a cluster."""

    name: str
    device: Device
    memory_bytes: int | None = None
    """What a stage may use; None: nothing limits it."""
    host: str = ""
    pool: str = ""
    """Memory that it shares with others: a name of `Cluster.pools`."""

    @property
    def room_bytes(self) -> float:
        """What a stage may use [bytes]; infinite where nothing limits it."""
        return inf if self.memory_bytes is None else self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What connects two members, where it is not what connects their hosts."""

    ends: tuple[str, str]
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Devices and what connects them."""

    name: str
    members: tuple[Member, ...]
    within: Link
    """Between two members of a host."""
    between: Link | None = None
    """Between members of two hosts."""
    wires: tuple[Wire, ...] = ()
    pools: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    """Bytes of memory that several members share."""
    is_open: bool = False
    """Whether there are as many devices like the first as a plan asks for."""

    def member(self, name: str) -> Member:
        """The member of this name.

        Raises:
            DeviceError: there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise DeviceError(f"device `{name}`", "is not in the cluster", expected=", ".join(m.name for m in self.members))

    def link(self, one: str, other: str) -> Link:
        """What connects two members; devices of an open cluster are all connected alike."""
        wire = next((w for w in self.wires if set(w.ends) == {one, other}), None)
        if wire is not None:
            return wire.link
        if self.is_open or self.member(one).host == self.member(other).host or self.between is None:
            return self.within
        return self.between

    def pooled(self, amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
        """Bytes that members take of each pool together, from names of members and what each takes."""
        found = dict.fromkeys(self.pools, 0)
        for name, amount in amounts:
            if pool := self.member(name).pool:
                found[pool] += amount
        return found

    @property
    def has_one_link(self) -> bool:
        """Whether any two members are connected alike."""
        hosts = {member.host for member in self.members}
        return not self.wires and (len(hosts) == 1 or self.between in (None, self.within))

    @property
    def is_uniform(self) -> bool:
        """Whether all members are equal, and connected alike."""
        kinds = {(member.device.name, member.memory_bytes, member.pool) for member in self.members}
        return len(kinds) == 1 and self.has_one_link and not self.pools

    def fastest(self, name: str) -> Link:
        """The best link of a member to any other: no value leaves or enters it faster."""
        links = [self.link(name, other.name) for other in self.members if other.name != name] or [self.within]
        return Link(
            name=links[0].name if len({link.name for link in links}) == 1 else "the fastest of each",
            bytes_per_s=max(link.bytes_per_s for link in links),
            latency_s=min(link.latency_s for link in links),
        )


def equal_devices(device: Device, link: Link, count: int | None = None, *, memory_bytes: int | None = None) -> Cluster:
    """A cluster of equal devices: so many, or as many as a plan asks for."""
    plain = replace(device, sources=(), title="", aliases=())
    names = [device.name] if count is None else [f"{device.name}-{number}" for number in range(count)]
    return Cluster(
        name=device.name,
        members=tuple(Member(name=each, device=plain, memory_bytes=memory_bytes) for each in names),
        within=_plain_link(link),
        is_open=count is None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    device: str
    name: str = ""
    count: int = 1
    memory: str | int | None = None
    host: str = ""
    shares: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    ends: tuple[str, str]
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Links:
    within: str = REFERENCE_LINK.name
    between: str | None = None
    pair: tuple[_Pair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    member: tuple[_Row, ...]
    name: str = ""
    links: _Links = field(default_factory=_Links)
    pools: dict[str, str | int] = field(default_factory=dict[str, str | int])
    device: dict[str, Any] = field(default_factory=dict[str, Any])
    link: dict[str, Any] = field(default_factory=dict[str, Any])
    version: Literal[1] = 1


def parse_cluster(text: str, subject: str) -> Cluster:
    """The cluster of a TOML file.

    Args:
        text: of the file.
        subject: what errors are about.

    Raises:
        DeviceError: no TOML, an unknown key or device, a count or an amount below 1, members that nothing connects.
    """
    try:
        data = tomllib.loads(text)
        row = msgspec.convert(data, _File, strict=True)
    except msgspec.ValidationError as error:
        raise DeviceError(subject, f"is no cluster ({error})", hint="see docs/planning.md for the format.") from None
    except (ValueError, RecursionError) as error:
        raise DeviceError(subject, f"is no TOML ({error})") from None
    _refuse_unknown(data, subject)
    known = _known(row, subject)
    pools = {name: _bytes(f"{subject}, pool `{name}`", amount) for name, amount in row.pools.items()}
    cluster = Cluster(
        name=row.name or subject,
        members=tuple(_members(row, known, pools, subject)),
        within=_plain_link(find_link(row.links.within, known)),
        between=None if row.links.between is None else _plain_link(find_link(row.links.between, known)),
        wires=tuple(Wire(ends=p.ends, link=_plain_link(find_link(p.link, known))) for p in row.links.pair),
        pools=pools,
    )
    _check(cluster, subject)
    return cluster


def _refuse_unknown(data: dict[str, Any], subject: str) -> None:
    """Keys that the format does not have, so that a misspelt limit is not a silent one."""
    tables = [("", data, _File), ("links", data.get("links", {}), _Links)]
    tables += [("member", member, _Row) for member in data["member"]]
    tables += [("links.pair", pair, _Pair) for pair in data.get("links", {}).get("pair", ())]
    for name, table, kind in tables:
        known = kind.__dataclass_fields__
        if unknown := sorted(set(table) - set(known)):
            where = f"[{name}]" if name else "the file"
            raise DeviceError(subject, f"{where} has an unknown key `{unknown[0]}`", expected=", ".join(known))


def _known(row: _File, subject: str) -> Catalog:
    """The catalog's entries, and before them the file's own."""
    if not row.device and not row.link:
        return catalog()
    own = catalog_from_data({"device": row.device, "link": row.link}, subject)
    return Catalog(devices=(*catalog().devices, *own.devices), links=(*catalog().links, *own.links))


def _members(row: _File, known: Catalog, pools: Mapping[str, int], subject: str) -> Iterator[Member]:
    seen: dict[str, int] = {}
    for entry in row.member:
        if entry.count < 1:
            raise DeviceError(
                subject, f"member `{entry.name or entry.device}`: count must be at least 1", got=entry.count
            )
        device = find_device(entry.device, known)
        base = entry.name or device.name
        for _ in range(entry.count):
            number = seen.get(base, 0)
            seen[base] = number + 1
            is_alone = (
                entry.count == 1 and sum((e.name or find_device(e.device, known).name) == base for e in row.member) == 1
            )
            memory = (
                device.memory_bytes if entry.memory is None else _bytes(f"{subject}, member `{base}`", entry.memory)
            )
            if entry.shares and entry.shares not in pools:
                raise DeviceError(subject, f"member `{base}` shares `{entry.shares}`, which is no pool",
                                  expected=", ".join(pools) or "a table [pools]")  # fmt: skip
            yield Member(
                name=base if is_alone else f"{base}-{number}",
                device=replace(device, sources=(), title="", aliases=()),
                memory_bytes=memory,
                host=entry.host,
                pool=entry.shares,
            )


def _check(cluster: Cluster, subject: str) -> None:
    if not cluster.members:
        raise DeviceError(subject, "has no device", hint='add a table [[member]] with device = "…".')
    names = {member.name for member in cluster.members}
    if len(names) < len(cluster.members):
        raise DeviceError(subject, "two members have one name")
    for wire in cluster.wires:
        if missing := sorted(set(wire.ends) - names):
            raise DeviceError(subject, f"[[links.pair]] names `{missing[0]}`", expected=", ".join(sorted(names)))
    wired = [set(wire.ends) for wire in cluster.wires]
    for number, ends in enumerate(wired):
        if len(ends) < 2 or ends in wired[:number]:
            both = " and ".join(f"`{name}`" for name in cluster.wires[number].ends)
            raise DeviceError(subject, f"[[links.pair]] joins {both}", expected="two members, each pair once")
    for one, other in combinations(cluster.members, 2):
        if one.host != other.host and cluster.between is None and {one.name, other.name} not in wired:
            raise DeviceError(
                subject,
                f"nothing connects `{one.name}` on host `{one.host}` with `{other.name}` on host `{other.host}`",
                hint='[links] between = "ethernet-10g".',
            )


def _bytes(subject: str, amount: str | int) -> int:
    try:
        return parse_bytes(amount)
    except InputError as error:
        raise DeviceError(subject, error.what, expected=error.expected, got=amount) from None


def _plain_link(link: Link) -> Link:
    return replace(link, sources=(), title="", aliases=())


REFERENCE_CLUSTER = equal_devices(REFERENCE_DEVICE, REFERENCE_LINK)
"""As many of the reference device as a plan asks for."""
