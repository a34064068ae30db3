"""What some atoms of a segment cost as one circuit, whole or a part of them, within a limit on memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf

from partwise.dsperse.atoms import Atom, Atoms
from partwise.errors import InfeasibleError
from partwise.profiling.proof import ProofStep, ProofWork
from partwise.profiling.proof_choice import PEAK_MARGIN, choose_settings

__all__ = ["Asked", "priced", "shared", "too_large"]

Asked = tuple[Sequence[ProofWork], int]
"""A circuit: its work, and how many bits its values have."""


def priced(asked: Asked, peak_bytes: int) -> tuple[float, int]:
    """CPU-seconds and cells of a circuit under its cheapest settings; infinite where none keep the limit."""
    return _priced(_counted(asked[0]), asked[1], peak_bytes)


def shared(atoms: Atoms, circuit: Sequence[Atom], parts: int, region: set[str], op: str) -> Asked:
    """What the largest of so many parts of some atoms is as one circuit.

    Args:
        atoms: of the segment.
        circuit: those of them that make it up.
        parts: of each.
        region: the tensors that are split; others are read whole by each part.
        op: of the product that is split.
    """

    def share(count: int) -> int:
        return -(-count // parts)

    made = {atom.output for atom in circuit}
    others = {name for atom in atoms.atoms if atom.output not in made for name in atom.reads} | set(atoms.outputs)
    given = list(dict.fromkeys(name for atom in circuit for name in atom.reads if name not in made))
    results = [name for name in made if name in others]
    sizes = [share(atoms.elements[name]) if name in region else atoms.elements[name] for name in given]
    found = [ProofWork(ProofStep.GIVEN, size) for size in sizes]
    for each in (work for atom in circuit for work in atom.work):
        rows, columns = each.sides
        if each.step is ProofStep.CHECKED:
            sides = (share(rows), columns) if op == "Conv" else (rows, share(columns))
            found.append(ProofWork(each.step, each.count, each.depth, sides))
        else:
            found.append(ProofWork(each.step, share(each.count), each.depth))
    found += [ProofWork(ProofStep.RESULT, share(atoms.elements[name])) for name in results]
    ranges = [*(atom.range_bits for atom in circuit), *(atoms.range_bits[name] for name in (*given, *results))]
    return found, max(ranges)


def too_large(subject: str, output: str, asked: Asked, peak_bytes: int, why: str = "") -> InfeasibleError:
    """The error that an operator, or a part of it, needs more than the limit."""
    try:
        choose_settings(_counted(asked[0]), asked[1], peak_bytes=0)
        need = ""
    except InfeasibleError as error:
        need = str(error.got)
    return InfeasibleError(
        f"{subject}, `{output}`",
        "needs more memory to prove, and cannot be split so far" + (f" ({why})" if why else ""),
        expected=f"at most {peak_bytes} bytes predicted, the limit divided by {PEAK_MARGIN} for errors",
        got=need,
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
