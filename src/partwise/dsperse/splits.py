"""How an operator that needs too much memory to prove is split: every way is priced, and the cheapest is taken.

By outputs or channels with what follows them; along an axis of its output by rows, with what follows row by row; a
normalization of one row in two; and where none of that keeps the limit, a product along its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, log2, prod
from typing import Any

from partwise.dsperse.atoms import Atom, Atoms
from partwise.dsperse.prices import Asked, Portion, needed, priced, shared, too_large
from partwise.errors import InfeasibleError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.row_region import RowRegion, Rows, window_rows
from partwise.verification.zk.circuits.split import JOINED, followers, hold_constants, output_axis, split_operator
from partwise.verification.zk.circuits.split_inner import split_inner
from partwise.verification.zk.circuits.split_norm import split_norm
from partwise.verification.zk.circuits.split_rows import split_rows

__all__ = ["Limit", "split_atom"]

_MOST_PARTS = 4
"""Times as many parts of an operator as it needs at least, which are priced too: smaller ones share circuits with what
follows them. Assumed."""
_SMALLER = 0.95
"""Times the memory that an operator needs: what its parts must need less than, or nothing is won. Assumed."""
_NEARLY = 1.05
"""Times the least price: the fewest parts within it are taken. Prices err by more (docs/proof-cost.md)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a circuit may take, and what errors call the place of a node."""

    peak_bytes: int
    places: dict[str, str]

    def too_large(self, output: str, asked: Asked, why: str = "") -> InfeasibleError:
        """The error of a node, or of a part of it: `<output>/<part>` is where `<output>` was."""
        known = output
        while known and known not in self.places:
            known = known.rpartition("/")[0]
        return too_large(self.places.get(known, "model"), output, asked, self.peak_bytes, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One way to split."""

    portion: Portion
    split: Callable[[bytes, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    price: float
    parts: int
    way: _Way


def split_atom(atoms: Atoms, place: int, model: bytes, limit: Limit) -> bytes:
    """The model with one operator, or the product that it follows, in parts; as it is where that is done already.

    Raises:
        InfeasibleError: it cannot be split, or not so far.
    """
    onnx, atom = require("onnx"), atoms.atoms[place]
    proto = onnx.load_from_string(model)
    hold_constants(proto.graph)
    node = next((node for node in proto.graph.node if node.output[0] == atom.output), None)
    if node is None or node.name.endswith(JOINED):
        return model
    ways = [*_by_outputs(proto, atom), *_by_rows(atoms, proto, atom)]
    found = [best for way in ways if (best := _best(atoms, way, limit)) is not None]
    if found:
        best = min(found, key=lambda one: one.price)  # the first of equal ones
        return best.way.split(model, best.parts)
    try:
        if node.op_type == "LayerNormalization":
            return split_norm(model, atom.output)
        return _along_inputs(atoms, place, proto, model, limit)
    except (UnsupportedOpError, InfeasibleError) as error:
        if (smaller := _smaller(atoms, place, ways, limit)) is not None:
            return smaller.way.split(model, smaller.parts)
        if isinstance(error, InfeasibleError):
            raise
        raise limit.too_large(atom.output, atoms.work(place, place + 1), error.what) from None


def _smaller(atoms: Atoms, place: int, ways: Sequence[_Way], limit: Limit) -> _Best | None:
    """Where no way alone keeps the limit: the one whose parts need least, to be split again along another axis."""
    atom, whole = atoms.atoms[place], needed(atoms.work(place, place + 1))
    found = list[_Best]()
    for way in ways:
        parts = (
            min(way.portion.units, 2 ** max(1, ceil(log2(whole / limit.peak_bytes))))
            if whole < inf
            else way.portion.units
        )
        affected = [one for one in _affected(atoms, way) if one.output not in way.portion.halo]
        worst = max((needed(shared(atoms, [one], parts, way.portion)) for one in affected), default=inf)
        if atom in affected and worst < _SMALLER * whole:
            found.append(_Best(price=worst, parts=parts, way=way))
    return min(found, key=lambda one: one.price, default=None)


def _by_outputs(proto: Any, atom: Atom) -> Iterator[_Way]:
    """The product with constant weights that an atom is, or that it follows, by its outputs."""
    onnx, graph = require("onnx"), proto.graph
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        try:
            axis = output_axis(node, held)
            region = {node.output[0], *(each.output[0] for each in followers(graph, node, held))}
        except UnsupportedOpError:
            continue
        if atom.output in region and (size := held[node.input[1]].shape[axis]) > 1:
            side, name = (0 if node.op_type == "Conv" else 1), node.output[0]
            yield _Way(
                portion=Portion(region=region, units=size, side=side),
                split=lambda model, parts, name=name: split_operator(model, name, parts),
            )
            return


def _by_rows(atoms: Atoms, proto: Any, atom: Atom) -> Iterator[_Way]:
    """Along each axis of an atom's output, or of the product's that it follows."""
    rows = Rows(proto)
    for axis in range(len(rows.shapes.get(atom.output, ()))):
        for base in _bases(proto, atom):
            region = rows.region(base, axis)
            if region is not None and region.units > 1 and _takes(region, atom) and _keeps_atoms(atoms, region):
                taken = {
                    name: _halo(region, node)
                    for node in region.nodes
                    for at, name in enumerate(node.input)
                    if region.is_taken(node, at)
                }
                is_conv = region.nodes[0].op_type == "Conv"
                yield _Way(
                    portion=Portion(
                        region=region.names | set(taken), units=region.units, side=int(is_conv), halo=taken
                    ),
                    split=lambda model, parts, base=base, axis=axis: split_rows(model, base, axis, parts),
                )
                break


def _bases(proto: Any, atom: Atom) -> Iterator[Collection[str]]:
    """Where a region may begin: at a product, at the atom, or within an atom that a maximum was drawn into."""
    yield from ([node.output[0]] for node in proto.graph.node if node.op_type in ("Conv", "Gemm", "MatMul"))
    yield atom.members
    if any(node.op_type == "MaxPool" and node.output[0] in atom.members for node in proto.graph.node):
        yield from ([name] for name in atom.members)


def _takes(region: RowRegion, atom: Atom) -> bool:
    return bool(region.names & set(atom.members))


def _keeps_atoms(atoms: Atoms, region: RowRegion) -> bool:
    """Whether no written-out Gelu or normalization is torn apart: a circuit computes it in one. A maximum's atom may
    be: its Relu and it are operators of their own."""
    ops = {node.output[0]: node.op_type for node in region.nodes}
    for atom in atoms.atoms:
        inside = set(atom.members) & region.names
        if inside and len(inside) < len(atom.members) and {ops[name] for name in inside} - {"Relu", "Conv", "MaxPool"}:
            return False
    return True


def _halo(region: RowRegion, node: Any) -> int:
    """Elements that a part reads beyond its share: rows that windows reach over."""
    name = node.output[0]
    if name not in region.windows:
        return 0
    first, last, _ = window_rows(region.windows[name], 0, 1)
    shape = region.shapes[node.input[0]]
    return max(0, last - first - region.windows[name].strides[0]) * prod(shape) // shape[region.axis]


def _affected(atoms: Atoms, way: _Way) -> list[Atom]:
    return [atom for atom in atoms.atoms if atom.output in way.portion.region and atom.work]


def _best(atoms: Atoms, way: _Way, limit: Limit) -> _Best | None:
    """In how many parts an operator and what follows it cost the least CPU time, each part in circuits within the
    limit; None where no number of parts is."""
    affected = [atom for atom in _affected(atoms, way) if atom.output not in way.portion.halo]

    def total(parts: int) -> float:
        best = [0.0]
        for last in range(1, len(affected) + 1):
            circuits = ((start, shared(atoms, affected[start:last], parts, way.portion)) for start in range(last))
            best.append(min(best[start] + priced(asked, limit.peak_bytes)[0] for start, asked in circuits))
        return parts * best[-1]

    fewest = _fewest(total, way.portion.units)
    if fewest is None:
        return None
    price, parts = _cheapest(total, fewest, way.portion.units)
    return _Best(price=price, parts=parts, way=way)


def _fewest(total: Callable[[int], float], most: int) -> int | None:
    """The least number of parts with a finite price: by doubling, then one by one from the last that had none."""
    tried = 2
    while tried < most and total(tried) == inf:
        tried = min(2 * tried, most)
    return next((parts for parts in range(max(2, tried // 2), tried + 1) if total(parts) < inf), None)


def _cheapest(total: Callable[[int], float], fewest: int, most: int) -> tuple[float, int]:
    """The price, and the fewest parts that are nearly as cheap as any."""
    prices = {parts: total(parts) for parts in range(fewest, min(_MOST_PARTS * fewest, most) + 1)}
    return next((price, parts) for parts, price in prices.items() if price <= _NEARLY * min(prices.values()))


def _along_inputs(atoms: Atoms, place: int, proto: Any, model: bytes, limit: Limit) -> bytes:
    """A product by the parts that its input is put together of; where it comes whole, in as many as are cheapest.

    Raises:
        UnsupportedOpError: it is no product.
        InfeasibleError: it keeps the limit in no number of parts.
    """
    atom = atoms.atoms[place]
    name = next((name for name in atom.members if _is_product(proto, name)), atom.output)
    try:
        return split_inner(model, name)
    except UnsupportedOpError:
        if not _is_product(proto, name):
            raise
    onnx = require("onnx")
    node = next(node for node in proto.graph.node if node.output[0] == name)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    size = held[node.input[1]].shape[1 - output_axis(node, held)]
    portion = Portion(region=set(atom.reads), units=size, inner=True)

    def total(parts: int) -> float:
        return parts * priced(shared(atoms, [atom], parts, portion), limit.peak_bytes)[0]

    fewest = _fewest(total, size) if size > 1 else None
    if fewest is None:
        raise limit.too_large(atom.output, shared(atoms, [atom], size, portion), f"nor in {size} parts of its input")
    return split_inner(model, name, _cheapest(total, fewest, size)[1])


def _is_product(proto: Any, name: str) -> bool:
    held = {tensor.name for tensor in proto.graph.initializer}
    return any(
        node.output[0] == name and node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in held
        for node in proto.graph.node
    )
