"""A segment's nodes as what each costs to prove: the smallest parts that a division of it can have.

In integer mode. Nodes that a circuit computes in one (a written-out Gelu) are one atom.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partwise import api
from partwise.extras import require
from partwise.ir import Graph
from partwise.profiling.proof import ProofStep, ProofWork
from partwise.profiling.proof_work import node_work
from partwise.verification.zk.circuits import Circuit, Drawn, checks, draw
from partwise.verification.zk.circuits.split import hold_constants

__all__ = ["MARGIN_BITS", "Atom", "Atoms", "atoms_of"]

MARGIN_BITS = 3
"""By which a value may exceed the greatest of the examples. Assumed."""
Values = dict[str, np.ndarray]
"""Integers of one example by tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """Nodes that stay together."""

    output: str
    """The tensor that it makes, which names it."""
    members: tuple[str, ...]
    """Outputs of its nodes."""
    reads: tuple[str, ...]
    """Tensors that it is given."""
    work: tuple[ProofWork, ...]
    """Its boundary left out."""
    range_bits: int
    """What it splits into digits is below 2 to this."""
    moves: bool = False
    """Whether it only takes parts of values, or puts parts together: the verifier does so itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atoms:
    """Of one segment, in an order in which they can be computed."""

    model: bytes
    """ONNX, its constants among the initializers."""
    atoms: tuple[Atom, ...]
    elements: Mapping[str, int]
    """Of each tensor."""
    range_bits: Mapping[str, int]
    """Of each tensor: its integers are below 2 to this."""
    outputs: tuple[str, ...]
    made: tuple[Values, ...]
    """By example: the integers of its outputs."""
    digits: Mapping[str, int]
    """Of its outputs."""

    def boundary(self, first: int, last: int) -> tuple[list[str], list[str]]:
        """What the atoms from one to before another are given, and what they give away."""
        inside = self.atoms[first:last]
        made = {atom.output for atom in inside}
        given = list(dict.fromkeys(name for atom in inside for name in atom.reads if name not in made))
        later = {name for atom in self.atoms[last:] for name in atom.reads} | set(self.outputs)
        return given, [atom.output for atom in inside if atom.output in later]

    def inner(self, first: int, last: int) -> tuple[list[ProofWork], int]:
        """The same atoms without their boundary: what any circuit with them holds."""
        inside = self.atoms[first:last]
        return [work for atom in inside for work in atom.work], max(atom.range_bits for atom in inside)

    def work(self, first: int, last: int) -> tuple[list[ProofWork], int]:
        """What the same atoms are as one circuit, and the range of its values in bits."""
        given, results = self.boundary(first, last)
        found = [ProofWork(ProofStep.GIVEN, self.elements[name]) for name in given]
        found += [ProofWork(ProofStep.RESULT, self.elements[name]) for name in results]
        found += [work for atom in self.atoms[first:last] for work in atom.work]
        ranges = [atom.range_bits for atom in self.atoms[first:last]]
        return found, max(*ranges, *(self.range_bits[name] for name in (*given, *results)))


def atoms_of(model: bytes, digits: Mapping[str, int], scale: int, examples: Sequence[Values]) -> Atoms:
    """What a segment is made of.

    Args:
        model: ONNX.
        digits: binary digits after the point of its inputs.
        scale: the same of its weights.
        examples: integers of its inputs.
    """
    proto = require("onnx").load_from_string(model)
    hold_constants(proto.graph)
    held = proto.SerializeToString(deterministic=True)
    circuit, drawn = draw(held, weight_bits=scale, input_bits=digits)
    traced = [checks(circuit, example) for example in examples]
    reach = {name: max(found[name] for _, found in traced) for name in traced[0][1]}
    tensors = {port.name: port.name for port in circuit.inputs} | {d.source: d.value for d in drawn}
    largest = {t: max(int(abs(values[v]).max()) for values, _ in traced) for t, v in tensors.items()}
    return Atoms(
        model=held,
        atoms=_atoms(list(proto.graph.node), [port.name for port in circuit.inputs], drawn, _work(circuit), reach),
        elements={tensor: traced[0][0][value].size for tensor, value in tensors.items()},
        range_bits={tensor: size.bit_length() + MARGIN_BITS for tensor, size in largest.items()},
        outputs=tuple(port.name for port in circuit.outputs),
        made=tuple({port.name: values[port.name] for port in circuit.outputs} for values, _ in traced),
        digits={port.name: port.bits or 0 for port in circuit.outputs},
    )


def _work(circuit: Circuit) -> dict[str, tuple[ProofWork, ...]]:
    """Of each node of a drawing."""
    with tempfile.TemporaryDirectory(prefix="partwise-atoms-") as folder:
        path = Path(folder) / "circuit.onnx"
        path.write_bytes(circuit.model)
        graph: Graph = api.capture(path, optimize="off")
    hints = dict(graph.hints)
    return {node.outputs[0]: node_work(graph, index, hints) for index, node in enumerate(graph.nodes)}


def _atoms(
    nodes: list[Any],
    inputs: Sequence[str],
    drawn: Sequence[Drawn],
    work: Mapping[str, tuple[ProofWork, ...]],
    reach: Mapping[str, int],
) -> tuple[Atom, ...]:
    """One for each node whose value a drawing has; the others belong to what reads them."""
    known = {node.output[0] for node in nodes}
    computed = known | set(inputs)
    drawings, pending = dict[str, list[str]](), list[str]()
    for each in drawn:
        pending += each.nodes
        if each.source in known:
            drawings[each.source] = pending
            pending = []
    owner = {name: name for name in drawings}
    for node in reversed(nodes):
        name = node.output[0]
        owner.setdefault(name, next((owner[n.output[0]] for n in nodes if name in n.input), name))
    found = list[Atom]()
    for name, drawing in drawings.items():
        members = [node for node in nodes if owner[node.output[0]] == name]
        inside = {node.output[0] for node in members}
        reads = dict.fromkeys(read for node in members for read in node.input if read in computed - inside)
        largest = max((reach[each] for each in drawing if each in reach), default=0)
        found.append(
            Atom(
                output=name,
                members=tuple(node.output[0] for node in members),
                reads=tuple(reads),
                work=tuple(each for made in drawing for each in work.get(made, ())),
                range_bits=largest.bit_length() + MARGIN_BITS,
                moves=all(node.op_type in ("Slice", "Concat") for node in members),
            )
        )
    return tuple(found)
