"""Who sends what to whom in a package: the values' routes, read off its manifest once."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.packaging import Manifest

__all__ = ["CALLER", "Route"]

CALLER = -1
"""The number under which whoever runs the package sends the model's inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The stages of a package as a graph of senders and receivers."""

    received: tuple[dict[int, tuple[str, ...]], ...]
    """For each stage: the tensors that it receives, by the number of their sender (`CALLER` for model inputs)."""
    returned: tuple[tuple[str, ...], ...]
    """For each stage: the tensors that the model returns from it."""

    @property
    def stages(self) -> int:
        """How many there are."""
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

    def readers(self, sender: int) -> tuple[int, ...]:
        """The stages that receive something from a sender."""
        return tuple(stage for stage, senders in enumerate(self.received) if sender in senders)
