"""Divide a model whose proofs need too much memory: its largest operators in parts, parts in segments, by price.

An operator that alone needs more than the limit is split (`splits`). Then of all divisions of the atoms into
consecutive circuits the one of least CPU time is taken, each circuit within the limit; atoms that only move values make
segments without circuits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from partwise.dsperse.atoms import Atoms, Values, atoms_of
from partwise.dsperse.prices import priced
from partwise.dsperse.splits import Limit, split_atom
from partwise.errors import InfeasibleError
from partwise.verification.zk.circuits.split import unshare_joins

__all__ = ["Division", "divide_model", "fits"]

_MOST_ROUNDS = 16
"""In which operators are split before it is given up. Assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """What a model was divided into."""

    model: bytes
    """ONNX: some operators in parts."""
    groups: tuple[tuple[str, ...], ...]
    """Of each segment, the outputs of its nodes."""
    made: tuple[Values, ...]
    """By example: the integers of its outputs."""
    digits: Mapping[str, int]
    """Of its outputs."""


def fits(atoms: Atoms, peak_bytes: int) -> bool:
    """Whether all atoms in one circuit are predicted to be proved within a peak."""
    return priced(atoms.work(0, len(atoms.atoms)), peak_bytes)[0] < inf


def divide_model(
    model: bytes,
    digits: Mapping[str, int],
    scale: int,
    examples: Sequence[Values],
    peak_bytes: int,
    places: Mapping[str, str] | None = None,
) -> Division:
    """A model as circuits each of which is predicted to be proved within a peak.

    Args:
        model: ONNX.
        digits: binary digits after the point of its inputs.
        scale: the same of its weights.
        examples: integers of its inputs.
        peak_bytes: what the prover's process may take.
        places: what errors call the place of a node, by its output.

    Raises:
        InfeasibleError: an operator that needs more and cannot be split so far.
        UnsupportedOpError: an operator that integers cannot compute exactly.
    """
    limit = Limit(peak_bytes, dict(places or {}))
    atoms = atoms_of(model, digits, scale, examples)
    for _ in range(_MOST_ROUNDS):
        if not (heavy := _heavy(atoms, peak_bytes)):
            return _division(atoms, _packed(atoms, limit))
        split = atoms.model
        for place in heavy:
            split = split_atom(atoms, place, split, limit)
        atoms = atoms_of(unshare_joins(split), digits, scale, examples)
    raise InfeasibleError("model", "still has operators that need more memory", expected=f"at most {peak_bytes} bytes",
                          got=f"{_MOST_ROUNDS} rounds of splits", hint="a higher --memory.")  # fmt: skip


def _division(atoms: Atoms, spans: Sequence[tuple[int, int]]) -> Division:
    groups = (tuple(name for atom in atoms.atoms[first:last] for name in atom.members) for first, last in spans)
    return Division(model=atoms.model, groups=tuple(groups), made=atoms.made, digits=atoms.digits)


def _heavy(atoms: Atoms, peak_bytes: int) -> list[int]:
    """The atoms that no circuit within the limit can have; one that only moves values is none."""
    places = (place for place, atom in enumerate(atoms.atoms) if atom.work)
    return [place for place in places if priced(atoms.work(place, place + 1), peak_bytes)[0] == inf]


def _packed(atoms: Atoms, limit: Limit) -> list[tuple[int, int]]:
    """Consecutive atoms as circuits, at least CPU time in all, then fewest cells: a dynamic program over where the
    last one begins."""
    best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for last in range(1, len(atoms.atoms) + 1):
        options = [(inf, 0, last - 1)]
        for first in range(last - 1, -1, -1):
            if priced(atoms.inner(first, last), limit.peak_bytes)[0] == inf:
                break  # and so with any more atoms
            moves = all(atom.moves for atom in atoms.atoms[first:last])
            cpu_s, cells = (0.0, 0) if moves else priced(atoms.work(first, last), limit.peak_bytes)
            options.append((best[first][0] + cpu_s, best[first][1] + cells, first))
        best.append(min(options))
    if best[-1][0] == inf:
        place = max(end for end, (cpu_s, *_) in enumerate(best) if cpu_s < inf)
        raise limit.too_large(atoms.atoms[place].output, atoms.work(place, place + 1))
    spans, last = list[tuple[int, int]](), len(atoms.atoms)
    while last:
        spans.append((best[last][2], last))
        last = best[last][2]
    return spans[::-1]
