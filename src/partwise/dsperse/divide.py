"""Divide a segment whose proof needs too much memory: its largest operators in parts, parts in segments, by price.

An operator that alone needs more than the limit is split: a product by its outputs, with what follows element by
element, or by the parts of its input; a normalization into the root of its variance and what is made with it. Then of
all divisions of the atoms into consecutive circuits the one of least CPU time is taken, each circuit within the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

from partwise.dsperse.atoms import Atom, Atoms, Values, atoms_of
from partwise.errors import InfeasibleError, UnsupportedOpError
from partwise.extras import require
from partwise.profiling.proof import ProofStep, ProofWork
from partwise.profiling.proof_choice import PEAK_MARGIN, choose_settings
from partwise.verification.zk.circuits.split import JOINED, followers, hold_constants, split_operator, unshare_joins
from partwise.verification.zk.circuits.split_inner import split_inner
from partwise.verification.zk.circuits.split_norm import split_norm

__all__ = ["Division", "divide_segment"]

_MOST_PARTS = 4
"""Times as many parts of an operator as it needs at least, which are priced too: smaller ones share circuits with what
follows them. Assumed."""
_NEARLY = 1.05
"""Times the least price: the fewest parts within it are taken. Prices err by more (docs/proof-cost.md)."""
_MOST_ROUNDS = 8
"""In which operators of one segment are split before it is given up. Assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """A segment, or what it was divided into."""

    model: bytes
    """ONNX: the segment as it is, or with some operators in parts."""
    groups: tuple[tuple[str, ...], ...]
    """Of each new segment, the outputs of its nodes; one group where nothing was divided."""
    made: tuple[Values, ...]
    """By example: the integers of its outputs."""
    digits: Mapping[str, int]
    """Of its outputs."""
    range_bits: Mapping[str, int]


def divide_segment(
    subject: str, model: bytes, digits: Mapping[str, int], scale: int, examples: Sequence[Values], peak_bytes: int
) -> Division:
    """A segment as circuits each of which is predicted to be proved within a peak.

    Args:
        subject: what errors are about.
        model: ONNX.
        digits: binary digits after the point of its inputs.
        scale: the same of its weights.
        examples: integers of its inputs.
        peak_bytes: what the prover's process may take.

    Raises:
        InfeasibleError: an operator that needs more and cannot be split so far.
        UnsupportedOpError: an operator that integers cannot compute exactly.
    """
    held = _held(model)
    atoms = atoms_of(held, digits, scale, examples)
    if _seconds(atoms, 0, len(atoms.atoms), peak_bytes) < inf:
        return _division(atoms, model, [(0, len(atoms.atoms))])
    for _ in range(_MOST_ROUNDS):
        if not (heavy := _heavy(atoms, peak_bytes)):
            return _division(atoms, atoms.model, _packed(subject, atoms, peak_bytes))
        split = atoms.model
        for place in heavy:
            split = _split(subject, atoms, place, split, peak_bytes)
        atoms = atoms_of(unshare_joins(split), digits, scale, examples)
    raise InfeasibleError(subject, "still has operators that need more memory", expected=f"at most {peak_bytes} bytes",
                          got=f"{_MOST_ROUNDS} rounds of splits", hint="a higher --memory.")  # fmt: skip


def _held(model: bytes) -> bytes:
    proto = require("onnx").load_from_string(model)
    hold_constants(proto.graph)
    return proto.SerializeToString(deterministic=True)


def _division(atoms: Atoms, model: bytes, spans: Sequence[tuple[int, int]]) -> Division:
    groups = (tuple(name for atom in atoms.atoms[first:last] for name in atom.members) for first, last in spans)
    return Division(
        model=model, groups=tuple(groups), made=atoms.made, digits=atoms.digits, range_bits=atoms.range_bits
    )


def _seconds(atoms: Atoms, first: int, last: int, peak_bytes: int) -> float:
    """CPU time of some atoms as one circuit; infinite where it cannot keep the limit."""
    return _price(atoms, first, last, peak_bytes)[0]


def _price(atoms: Atoms, first: int, last: int, peak_bytes: int) -> tuple[float, int]:
    """CPU time and cells of some atoms as one circuit."""
    work, range_bits = atoms.work(first, last)
    return _priced(_counted(work), range_bits, peak_bytes)


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


def _heavy(atoms: Atoms, peak_bytes: int) -> list[int]:
    """The atoms that no circuit within the limit can have; one that only moves values is none."""
    places = (place for place, atom in enumerate(atoms.atoms) if atom.work)
    return [place for place in places if _seconds(atoms, place, place + 1, peak_bytes) == inf]


def _packed(subject: str, atoms: Atoms, peak_bytes: int) -> list[tuple[int, int]]:
    """Consecutive atoms as circuits, at least CPU time in all, then fewest cells: a dynamic program over
    where the last one begins."""
    count = len(atoms.atoms)
    best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for last in range(1, count + 1):
        prices = ((first, _price(atoms, first, last, peak_bytes)) for first in range(last))
        best.append(min((best[first][0] + cpu_s, best[first][1] + cells, first) for first, (cpu_s, cells) in prices))
        if best[-1][0] == inf and atoms.atoms[last - 1].work:
            raise _too_large(subject, atoms.atoms[last - 1].output, atoms.work(last - 1, last), peak_bytes)
    spans, last = list[tuple[int, int]](), count
    while last:
        spans.append((best[last][2], last))
        last = best[last][2]
    return spans[::-1]


def _split(subject: str, atoms: Atoms, place: int, model: bytes, peak_bytes: int) -> bytes:
    """The model with one operator, or the product that it follows, in parts; as it is where that is done already.

    Raises:
        InfeasibleError: it cannot be split, or not so far.
    """
    onnx, atom = require("onnx"), atoms.atoms[place]
    graph = onnx.load_from_string(model).graph
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node = next((node for node in graph.node if node.output[0] == atom.output), None)
    if node is None or node.name.endswith(JOINED):
        return model
    try:
        if node.op_type == "LayerNormalization":
            return split_norm(model, atom.output)
        product, region = _region(graph, held, atom)
        if product is not None:
            return _split_product(subject, atoms, product, region, model, peak_bytes)
    except UnsupportedOpError as error:
        raise _too_large(subject, atom.output, atoms.work(place, place + 1), peak_bytes, error.what) from None
    raise _too_large(subject, atom.output, atoms.work(place, place + 1), peak_bytes)


def _split_product(subject: str, atoms: Atoms, product: Any, region: set[str], model: bytes, peak_bytes: int) -> bytes:
    """By its outputs; where even one output needs too much, by what its input is put together of."""
    onnx = require("onnx")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}
    try:
        parts = _best_parts(subject, atoms, product, region, held, peak_bytes)
    except InfeasibleError as error:
        try:
            return split_inner(model, product.output[0])
        except UnsupportedOpError:
            raise error from None
    return split_operator(model, product.output[0], parts)


def _region(graph: Any, held: dict[str, Any], atom: Atom) -> tuple[Any | None, set[str]]:
    """The product with constant weights that an atom is, or that it follows, and all that follows it."""
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in held:
            region = {node.output[0], *(each.output[0] for each in followers(graph, node, held))}
            if atom.output in region:
                return node, region
    return None, set()


def _best_parts(
    subject: str, atoms: Atoms, product: Any, region: set[str], held: dict[str, Any], peak_bytes: int
) -> int:
    """In how many parts a product and what follows it cost the least CPU time, each part in circuits within the limit.

    Raises:
        InfeasibleError: some atom keeps it in no number of parts.
    """
    affected = [atom for atom in atoms.atoms if atom.output in region and atom.work]
    weight = held[product.input[1]]
    first = product.op_type == "Conv" or (product.op_type == "Gemm" and _transposed(product))
    size = weight.shape[0 if first else -1]

    def price(parts: int, circuit: Sequence[Atom]) -> float:
        work, range_bits = _shared(atoms, circuit, parts, region, product.op_type)
        return _priced(_counted(work), range_bits, peak_bytes)[0]

    def total(parts: int) -> float:
        best = [0.0]
        for last in range(1, len(affected) + 1):
            best.append(min(best[start] + price(parts, affected[start:last]) for start in range(last)))
        return parts * best[-1]

    fewest = next((parts for parts in range(2, size + 1) if total(parts) < inf), None)
    if fewest is not None:
        prices = {parts: total(parts) for parts in range(fewest, min(_MOST_PARTS * fewest, size) + 1)}
        return next(parts for parts, price in prices.items() if price <= _NEARLY * min(prices.values()))
    worst = max(affected, key=lambda atom: price(size, [atom]))
    work = _shared(atoms, [worst], size, region, product.op_type)
    raise _too_large(subject, worst.output, work, peak_bytes, f"nor in {size} parts")


def _transposed(gemm: Any) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in gemm.attribute)


def _shared(
    atoms: Atoms, circuit: Sequence[Atom], parts: int, region: set[str], op: str
) -> tuple[list[ProofWork], int]:
    """What the largest of so many parts of some atoms is as one circuit, and its range."""

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


def _too_large(
    subject: str, output: str, work: tuple[list[ProofWork], int], peak_bytes: int, why: str = ""
) -> InfeasibleError:
    """The error that an operator, or a part of it, needs more than the limit."""
    try:
        choose_settings(_counted(work[0]), work[1], peak_bytes=0)
        need = ""
    except InfeasibleError as error:
        need = str(error.got)
    return InfeasibleError(
        f"{subject}, `{output}`",
        "needs more memory to prove, and cannot be split so far" + (f" ({why})" if why else ""),
        expected=f"at most {peak_bytes} bytes predicted, which is the limit less {PEAK_MARGIN - 1:.0%} for errors",
        got=need,
        hint="a higher --memory.",
    )
