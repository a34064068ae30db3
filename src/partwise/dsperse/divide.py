"""Divide a model whose proofs need too much memory: its largest operators in parts, parts in segments, by price.

An operator that alone needs more than the limit is split: a product by its outputs, with what follows element by
element, or by the parts of its input; a normalization into the root of its variance and what is made with it. Then of
all divisions of the atoms into consecutive circuits the one of least CPU time is taken, each circuit within the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from partwise.dsperse.atoms import Atom, Atoms, Values, atoms_of
from partwise.dsperse.prices import Asked, priced, shared, too_large
from partwise.errors import InfeasibleError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.split import JOINED, followers, split_operator, unshare_joins
from partwise.verification.zk.circuits.split_inner import split_inner
from partwise.verification.zk.circuits.split_norm import split_norm

__all__ = ["Division", "divide_model", "fits"]

_MOST_PARTS = 4
"""Times as many parts of an operator as it needs at least, which are priced too: smaller ones share circuits with what
follows them. Assumed."""
_NEARLY = 1.05
"""Times the least price: the fewest parts within it are taken. Prices err by more (docs/proof-cost.md)."""
_MOST_ROUNDS = 8
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
    limit = _Limit(peak_bytes, places or {})
    atoms = atoms_of(model, digits, scale, examples)
    for _ in range(_MOST_ROUNDS):
        if not (heavy := _heavy(atoms, peak_bytes)):
            return _division(atoms, _packed(atoms, limit))
        split = atoms.model
        for place in heavy:
            split = _split(atoms, place, split, limit)
        atoms = atoms_of(unshare_joins(split), digits, scale, examples)
    raise InfeasibleError("model", "still has operators that need more memory", expected=f"at most {peak_bytes} bytes",
                          got=f"{_MOST_ROUNDS} rounds of splits", hint="a higher --memory.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a circuit may take, and what errors call the place of a node."""

    peak_bytes: int
    places: Mapping[str, str]

    def too_large(self, output: str, asked: Asked, why: str = "") -> InfeasibleError:
        """The error of a node, or of a part of it: `<output>/<part>` is where `<output>` was."""
        known = output
        while known and known not in self.places:
            known = known.rpartition("/")[0]
        return too_large(self.places.get(known, "model"), output, asked, self.peak_bytes, why)


def _division(atoms: Atoms, spans: Sequence[tuple[int, int]]) -> Division:
    groups = (tuple(name for atom in atoms.atoms[first:last] for name in atom.members) for first, last in spans)
    return Division(model=atoms.model, groups=tuple(groups), made=atoms.made, digits=atoms.digits)


def _heavy(atoms: Atoms, peak_bytes: int) -> list[int]:
    """The atoms that no circuit within the limit can have; one that only moves values is none."""
    places = (place for place, atom in enumerate(atoms.atoms) if atom.work)
    return [place for place in places if priced(atoms.work(place, place + 1), peak_bytes)[0] == inf]


def _packed(atoms: Atoms, limit: _Limit) -> list[tuple[int, int]]:
    """Consecutive atoms as circuits, at least CPU time in all, then fewest cells: a dynamic program over where the
    last one begins."""
    best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for last in range(1, len(atoms.atoms) + 1):
        options = [(inf, 0, last - 1)]
        for first in range(last - 1, -1, -1):
            if priced(atoms.inner(first, last), limit.peak_bytes)[0] == inf:
                break  # and so with any more atoms
            cpu_s, cells = priced(atoms.work(first, last), limit.peak_bytes)
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


def _split(atoms: Atoms, place: int, model: bytes, limit: _Limit) -> bytes:
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
            return _split_product(atoms, product, region, model, limit)
    except UnsupportedOpError as error:
        raise limit.too_large(atom.output, atoms.work(place, place + 1), error.what) from None
    raise limit.too_large(atom.output, atoms.work(place, place + 1))


def _split_product(atoms: Atoms, product: Any, region: set[str], model: bytes, limit: _Limit) -> bytes:
    """By its outputs; where even one output needs too much, by what its input is put together of."""
    onnx = require("onnx")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}
    try:
        parts = _best_parts(atoms, product, region, held, limit)
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


def _best_parts(atoms: Atoms, product: Any, region: set[str], held: dict[str, Any], limit: _Limit) -> int:
    """In how many parts a product and what follows it cost the least CPU time, each part in circuits within the limit.

    Raises:
        InfeasibleError: some atom keeps it in no number of parts.
    """
    affected = [atom for atom in atoms.atoms if atom.output in region and atom.work]
    weight = held[product.input[1]]
    first = product.op_type == "Conv" or (product.op_type == "Gemm" and _transposed(product))
    size = weight.shape[0 if first else -1]

    def price(parts: int, circuit: Sequence[Atom]) -> float:
        return priced(shared(atoms, circuit, parts, region, product.op_type), limit.peak_bytes)[0]

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
    asked = shared(atoms, [worst], size, region, product.op_type)
    raise limit.too_large(worst.output, asked, f"nor in {size} parts")


def _transposed(gemm: Any) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in gemm.attribute)
