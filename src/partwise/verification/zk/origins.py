"""Where each element of a moved tensor comes from: which proof computed it, or that it is of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.manifest import ProofManifest, Wire
from partwise.verification.zk.moves import carried

__all__ = ["Home", "Origins"]


@dataclass(frozen=True, slots=True)
class Home:
    """A tensor that was not moved."""

    segment: int | None
    """That gives it; None for an input of the model."""
    tensor: str


class Origins:
    """Of all tensors that a manifest's segments move.

    Args:
        manifest: checked.
    """

    def __init__(self, manifest: ProofManifest) -> None:
        self._manifest = manifest
        self._homes, self._starts = list[Home](), [0]
        self._places = dict[str, NDArray[np.int64]]()
        for segment in manifest.segments:
            if segment.moves:
                for wire in segment.inputs:
                    self._enter(wire)
                self._places |= carried(
                    segment.moves, {wire.tensor: self._places[wire.tensor] for wire in segment.inputs}
                )

    def links(self) -> Iterator[tuple[int, Wire]]:
        """Each segment with a circuit and what it takes that was moved."""
        for number, segment in enumerate(self._manifest.segments):
            for wire in segment.inputs if segment.circuit is not None else ():
                if wire.source is not None and self._manifest.segments[wire.source].moves:
                    yield number, wire

    def homes(self, tensor: str) -> list[Home]:
        """What a moved tensor is made of."""
        return [self._homes[at] for at in np.unique(self._at(tensor)).tolist()]

    def values(self, tensor: str, find: Callable[[Home], Sequence[str] | None]) -> list[str | None]:
        """The elements of a moved tensor; None for each that is not known.

        Args:
            tensor: moved.
            find: the elements of a home; None where they are not known.
        """
        found = {home: find(home) for home in self.homes(tensor)}
        made, homes = list[str | None](), self._at(tensor)
        for at, place in enumerate(self._places[tensor].reshape(-1)):
            number, inside = int(homes[at]), int(place)
            known = found[self._homes[number]]
            made.append(None if known is None else known[inside - self._starts[number]])
        return made

    def home_of(self, tensor: str, element: int) -> Home:
        """Where one element comes from."""
        return self._homes[int(self._at(tensor)[element])]

    def _at(self, tensor: str) -> NDArray[np.int64]:
        """For each element the number of its home."""
        return np.searchsorted(self._starts, self._places[tensor].reshape(-1), side="right") - 1

    def _enter(self, wire: Wire) -> None:
        if wire.tensor in self._places:
            return
        size, start = prod(wire.shape), self._starts[-1]
        self._homes.append(Home(wire.source, wire.tensor))
        self._starts.append(start + size)
        self._places[wire.tensor] = np.arange(start, start + size, dtype=np.int64).reshape(wire.shape)
