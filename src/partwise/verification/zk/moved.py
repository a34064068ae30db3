"""The edges and ends of a chain of proofs that lead through moved values: what was taken is what was given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from partwise.errors import InputError
from partwise.verification.zk.ends import claimed_values, request_values
from partwise.verification.zk.field import Values, element
from partwise.verification.zk.manifest import ProofManifest, Wire
from partwise.verification.zk.origins import Home, Origins
from partwise.verification.zk.prover import Mark

__all__ = ["Moved"]

Tensors = Mapping[str, np.ndarray]
Marks = Callable[[int, str, str], Mark | None]
"""(segment, tensor, `inputs` or `outputs`) → what its proof says; None where it is not proved, or refused."""
Name = Callable[[int], str]


class Moved:
    """Checks of what segments without circuits move.

    Proofs show the values themselves (a manifest that moves others is refused), one element each.

    Args:
        manifest: checked.
        marks: of the proofs.
        name: of a segment, for people.
    """

    def __init__(self, manifest: ProofManifest, marks: Marks, name: Name) -> None:
        self._manifest, self._marks, self._name = manifest, marks, name
        self._origins = Origins(manifest)
        self.edges = 0
        """How many were compared and equal."""

    def problems(self, request: Tensors | None, claim: Tensors | None) -> Iterable[str]:
        """Everything that was taken otherwise than given, or claimed otherwise than proved."""
        for target, wire in self._origins.links():
            yield from self._link(target, wire, request)
        yield from self._claims(claim)

    def _link(self, target: int, wire: Wire, request: Tensors | None) -> Iterable[str]:
        where = f"{self._name(target)}, `{wire.tensor}`"
        if self._scales(wire.tensor) - {wire.scale}:
            yield f"{where} is taken at another scale than it was given"
            return
        received = self._marks(target, wire.tensor, "inputs")
        if received is None:
            return
        try:
            sent = self._origins.values(wire.tensor, lambda home: self._find(home, wire.scale or 0, request))
        except InputError as error:
            yield f"input: {error}"
            return
        wrong = _first_other(sent, received)
        if wrong is not None:
            yield self._broken(target, wire, self._origins.home_of(wire.tensor, wrong))
        elif None not in sent:
            self.edges += 1

    def _broken(self, target: int, wire: Wire, home: Home) -> str:
        taker = self._name(target)
        if home.segment is None:
            return f"{taker}, `{wire.tensor}` of input `{home.tensor}` was proved on other values than the request"
        giver = self._name(home.segment)
        ends = f"edge {giver.removeprefix('segment ')} → {taker.removeprefix('segment ')}, `{wire.tensor}`"
        return f"{ends}: {taker} was proved on other values than {giver} gave"

    def _find(self, home: Home, scale: int, request: Tensors | None) -> Sequence[str] | None:
        """The elements of what was not moved."""
        if home.segment is not None:
            return self._marks(home.segment, home.tensor, "outputs")
        wire = next(wire for wire in self._manifest.inputs if wire.tensor == home.tensor)
        if request is None or home.tensor not in request:
            return None  # which is said where request and proofs are compared
        return _elements(request_values(wire, request, scale))

    def _claims(self, claim: Tensors | None) -> Iterable[str]:
        """Outputs of the model that are put together of what several proofs gave."""
        for output in self._manifest.outputs:
            home = self._manifest.segments[self._manifest.home(output.tensor)]
            if not home.moves:
                continue
            scales = self._scales(output.tensor)
            if len(scales) != 1 or any(one.segment is None for one in self._origins.homes(output.tensor)):
                yield f"output `{output.name}` is not of proofs at one scale alone"
                continue
            if claim is None or output.name not in claim:
                continue
            wire = next(wire for wire in home.outputs if wire.tensor == output.tensor)
            given = self._origins.values(output.tensor, lambda one: self._find(one, 0, None))
            try:
                said = _elements(claimed_values(output.name, wire, claim, max(scales)))
            except InputError as error:
                yield f"claim: {error}"
                continue
            if _first_other(given, said) is not None:
                yield f"output `{output.name}` is not what was proved"

    def _scales(self, tensor: str) -> set[int]:
        """At which the proofs gave what a moved tensor is made of."""
        homes = [home for home in self._origins.homes(tensor) if home.segment is not None]
        outputs = ((home, self._manifest.segments[home.segment or 0].outputs) for home in homes)
        found = (next(wire.scale for wire in wires if wire.tensor == home.tensor) for home, wires in outputs)
        return {scale for scale in found if scale is not None}


def _elements(values: Values) -> list[str]:
    return [element(value) for value in values]


def _first_other(sent: Sequence[str | None], received: Sequence[str]) -> int | None:
    """The first element that was taken otherwise than given; a count that is not the same counts as one."""
    if len(sent) != len(received):
        return 0
    pairs = enumerate(zip(sent, received, strict=True))
    return next((place for place, (one, other) in pairs if one is not None and one != other), None)
