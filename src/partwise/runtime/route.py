"""Who sends what to whom in a package: the values' routes, read off its manifest once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from partwise.packaging import Manifest

__all__ = ["CALLER", "Piece", "Route"]

CALLER = -1
"""The number under which whoever runs the package sends the model's inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a divided stage, by the tensors that it receives and sends."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The stages of a package as a graph of senders and receivers."""

    received: tuple[dict[int, tuple[str, ...]], ...]
    """For each stage: the tensors that it receives, by the number of their sender (`CALLER` for model inputs)."""
    returned: tuple[tuple[str, ...], ...]
    """For each stage: the tensors that the model returns from it."""
    retired: frozenset[int] = frozenset()
    """Stages that pieces stand for: they neither receive nor return anything."""
    active: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """The stages that are not retired."""
    readers: Mapping[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    """By sender: the stages that receive something from it."""

    def __post_init__(self) -> None:
        senders = range(CALLER, self.stages)
        table = {sender: tuple(s for s, named in enumerate(self.received) if sender in named) for sender in senders}
        object.__setattr__(self, "readers", table)
        object.__setattr__(self, "active", tuple(stage for stage in range(self.stages) if stage not in self.retired))

    @property
    def stages(self) -> int:
        """How many there are, retired ones included."""
        return len(self.received)

    @classmethod
    def of(cls, manifest: Manifest) -> Route:
        """The routes of a manifest, which has been checked: every output is sent by some segment."""
        received: list[dict[int, tuple[str, ...]]] = []
        for segment in manifest.segments:
            by_sender: dict[int, tuple[str, ...]] = {}
            for port in segment.inputs:
                sender = CALLER if port.source is None else port.source
                by_sender[sender] = (*by_sender.get(sender, ()), port.tensor)
            received.append(by_sender)
        home = {port.tensor: number for number, s in enumerate(manifest.segments) for port in s.outputs}
        wanted = dict.fromkeys(output.tensor for output in manifest.outputs)
        returned = tuple(tuple(name for name in wanted if home[name] == s) for s in range(len(manifest.segments)))
        return cls(received=tuple(received), returned=returned)

    def divided(self, stage: int, first: int, pieces: Sequence[Piece]) -> Route:
        """The route with pieces in a stage's place, numbered from `first` on.

        Numbers between that this route does not know belong to pieces of stages that it has whole.
        """
        home = {name: piece for piece, p in enumerate(pieces, start=first) for name in p.outputs}
        given = {name: sender for sender, names in self.received[stage].items() for name in names}
        numbers = range(first, first + len(pieces))
        unknown = range(self.stages, max(self.stages, numbers.stop))
        received = [*(_resent(named, home) for named in self.received), *({} for _ in unknown)]
        returned = [*self.returned, *(() for _ in unknown)]
        for number, piece in zip(numbers, pieces, strict=True):
            received[number] = _by_sender(piece.inputs, given | home)
            returned[number] = tuple(name for name in self.returned[stage] if name in piece.outputs)
        received[stage], returned[stage] = {}, ()
        retired = {*self.retired, *unknown, stage} - set(numbers)
        return Route(received=tuple(received), returned=tuple(returned), retired=frozenset(retired))


def _resent(received: dict[int, tuple[str, ...]], home: dict[str, int]) -> dict[int, tuple[str, ...]]:
    """The same tensors, some from other senders."""
    if not any(name in home for names in received.values() for name in names):
        return received
    sender = {name: home.get(name, old) for old, names in received.items() for name in names}
    return _by_sender(tuple(sender), sender)


def _by_sender(names: Sequence[str], home: dict[str, int]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for name in names:
        found[home[name]] = (*found.get(home[name], ()), name)
    return found
