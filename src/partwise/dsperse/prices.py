"""What some atoms of a segment cost as one circuit, whole or a part of them, within a limit on memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf

from partwise.dsperse.atoms import Atom, Atoms
from partwise.errors import InfeasibleError
from partwise.profiling.proof import ProofStep, ProofWork
from partwise.profiling.proof_choice import PEAK_MARGIN, choose_settings, least_peak

__all__ = ["Asked", "Portion", "needed", "priced", "shared", "too_large"]

Asked = tuple[Sequence[ProofWork], int]
"""A circuit: its work, and how many bits its values have."""


def priced(asked: Asked, peak_bytes: int) -> tuple[float, int]:
    """CPU-seconds and cells of a circuit under its cheapest settings; infinite where none keep the limit."""
    return _priced(_counted(asked[0]), asked[1], peak_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What a part of some atoms has of each thing."""

    region: Collection[str]
    """Tensors that are split; others are read whole by each part."""
    units: int
    """What is dealt out: rows, outputs, inputs."""
    side: int = 1
    """Of a checked product: which of its sides is split."""
    halo: Mapping[str, int] = field(default_factory=dict[str, int])
    """Elements that a part reads of a tensor beyond its share."""
    inner: bool = False
    """Along the depth of products: each part reads what the parts before it add up to, and adds to it."""

    def share(self, count: int, parts: int) -> int:
        """Of a count, what the largest of so many parts has: units are dealt out whole."""
        return -(-count * -(-self.units // parts) // self.units)


def needed(asked: Asked) -> float:
    """The least memory [bytes] that a circuit is predicted to take."""
    return least_peak(_counted(asked[0]), asked[1])


def shared(atoms: Atoms, circuit: Sequence[Atom], parts: int, portion: Portion) -> Asked:
    """What the largest of so many parts of some atoms is as one circuit.

    Args:
        atoms: of the segment.
        circuit: those of them that make it up.
        parts: of each.
        portion: what a part has.
    """
    made = {atom.output for atom in circuit}
    others = {name for atom in atoms.atoms if atom.output not in made for name in atom.reads} | set(atoms.outputs)
    given = list(dict.fromkeys(name for atom in circuit for name in atom.reads if name not in made))
    results = [name for name in made if name in others]

    def size(name: str) -> int:
        whole = atoms.elements[name]
        return min(whole, portion.share(whole, parts) + portion.halo.get(name, 0)) if name in portion.region else whole

    found = [ProofWork(ProofStep.GIVEN, size(name)) for name in given]
    found += [_part_of(work, parts, portion) for atom in circuit for work in atom.work]
    found += [ProofWork(ProofStep.RESULT, size(name)) for name in results]
    if portion.inner:
        found += [ProofWork(step, size(name)) for name in made for step in (ProofStep.GIVEN, ProofStep.CELL)]
    ranges = [*(atom.range_bits for atom in circuit), *(atoms.range_bits[name] for name in (*given, *results))]
    return found, max(ranges)


def _part_of(work: ProofWork, parts: int, portion: Portion) -> ProofWork:
    """The largest of so many parts of a node's work."""
    if portion.inner:
        return ProofWork(work.step, work.count, portion.share(work.depth, parts), work.sides)
    if work.step is not ProofStep.CHECKED:
        return ProofWork(work.step, portion.share(work.count, parts), work.depth)
    sides = [*work.sides]
    sides[portion.side] = portion.share(sides[portion.side], parts)
    return ProofWork(work.step, work.count, work.depth, (sides[0], sides[1]))


def too_large(subject: str, output: str, asked: Asked, peak_bytes: int, why: str = "") -> InfeasibleError:
    """The error that an operator, or a part of it, needs more than the limit."""
    return InfeasibleError(
        f"{subject}, `{output}`",
        "needs more memory to prove, and cannot be split so far" + (f" ({why})" if why else ""),
        expected=f"at most {peak_bytes} bytes predicted, the limit divided by {PEAK_MARGIN} for errors",
        got="no range check is wide enough" if (need := needed(asked)) == inf else f"at least {need:.0f} bytes",
        hint="a higher --memory.",
    )


def _counted(work: Sequence[ProofWork]) -> tuple[ProofWork, ...]:
    """Equal steps together: there are few kinds. Tables and checked products stay one by one."""
    found, apart = dict[tuple[ProofStep, int], int](), list[ProofWork]()
    for each in work:
        if each.step in (ProofStep.LOOKUP, ProofStep.CHECKED):
            apart.append(each)
        else:
            found[each.step, each.depth] = found.get((each.step, each.depth), 0) + each.count
    return (*(ProofWork(step, count, depth) for (step, depth), count in found.items()), *apart)


@lru_cache(maxsize=4096)
def _priced(work: tuple[ProofWork, ...], range_bits: int, peak_bytes: int) -> tuple[float, int]:
    try:
        cost = choose_settings(work, range_bits, peak_bytes=peak_bytes).cost
    except InfeasibleError:
        return inf, 0
    return cost.cpu_s, cost.assignments
