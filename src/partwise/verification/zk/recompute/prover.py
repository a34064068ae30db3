"""The recomputing prover behind the prover protocol.

    circuit.onnx        the segment in integer mode; what the verifier recomputes by
    recompute.json      how many leaves are challenged

A wrong value in one of n leaves is found with probability queries / n for one proof, and whoever makes proofs can
try again with another commitment; with queries ≥ n all is recomputed and nothing wrong passes. That is the default;
with fewer, a proof that holds carries a doubt, and no verdict accepts it.
"""

from __future__ import annotations

import importlib
import resource
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from partwise.digest import canonical_json, file_digest
from partwise.errors import InputError, PartwiseError, ProverError, ProverRefusedError
from partwise.files import write_whole
from partwise.runtime.memory import resident
from partwise.strict_json import json_record
from partwise.verification.zk.circuits import lower
from partwise.verification.zk.circuits.drawing import Circuit as Drawn
from partwise.verification.zk.circuits.drawing import CircuitPort
from partwise.verification.zk.circuits.exact import Big, trace
from partwise.verification.zk.field import MODULUS, Values, element, is_element, number
from partwise.verification.zk.prover import Boundary, Circuit, Finding, KeyFile, Mark, Measured, Sizes
from partwise.verification.zk.recompute.merkle import Tree, root_of
from partwise.verification.zk.recompute.program import Indices, Program, compute, read_program
from partwise.verification.zk.recompute.proof import (
    FORMAT,
    Leaves,
    Opening,
    challenged,
    leaf_bytes,
    parse_opening,
)
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["RecomputeProver"]

MODEL, SETTINGS = "circuit.onnx", "recompute.json"
_PROMISE = (
    "recompute proofs are not zero-knowledge and not succinct: the verifier held the weights, saw the opened values "
    "and computed them again"
)
_RANGE_BITS = 252
"""Values lie within ± 2^252, below half of the field's order: nothing else limits them."""


class _Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: str
    queries: int | None
    """Leaves that are challenged; None for all."""


class RecomputeProver:
    """Merkle commitments over activations, spot-checked by recomputing."""

    name = "recompute"
    version = FORMAT

    @property
    def options(self) -> dict[str, Any]:
        return {}

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        del examples
        _refuse_unfit(settings, subject)
        with _measured() as took:
            bits = settings.scale
            drawn = lower(segment.read_bytes(), weight_bits=bits, input_bits=bits, output_bits=bits, shifts=True)
            program = read_program(drawn.model)
            write_whole(folder / MODEL, drawn.model)
            rules = _Settings(format=FORMAT, queries=settings.queries)
            write_whole(folder / SETTINGS, canonical_json(msgspec.to_builtins(rules)))
        return Circuit(
            settings=replace(settings, logrows=0, columns=0, base=2, legs=_RANGE_BITS),
            keys=tuple(_key_file(folder, name) for name in (MODEL, SETTINGS)),
            private=(),
            input_scales=(bits,) * len(drawn.inputs),
            output_scales=(bits,) * len(drawn.outputs),
            rows=Leaves(program).count,
            measured=took[0],
        )

    def witness(
        self, circuit: Circuit, folder: Path, inputs: tuple[Values, ...], out: Path, subject: str
    ) -> tuple[Values, ...]:
        del circuit
        drawn, program = _drawn(folder / MODEL, inputs)
        given = {port.name: np.array(values, object) for port, values in zip(drawn.inputs, inputs, strict=True)}
        values = {name: array.reshape(-1) for name, array in trace(drawn, given).items()}
        if max(int(abs(array).max()) for array in values.values()) > MODULUS // 2:
            raise ProverError(subject, "a value is beyond the field", hint="a smaller --scale, or smaller segments")
        found = {name: [element(int(value)) for value in values[name]] for name in program.tensors}
        write_whole(out, msgspec.json.encode(found))
        return tuple(tuple(int(value) for value in values[name]) for name in program.outputs)

    def prove(self, circuit: Circuit, folder: Path, witness: Path, out: Path, subject: str) -> Measured:
        del circuit
        with _measured() as took:
            program, rules = read_program((folder / MODEL).read_bytes()), _rules(folder / SETTINGS)
            values, leaves = _witness(witness, subject), Leaves(program)
            chunks = [values[name][indices] for name, indices in map(leaves.at, range(leaves.count))]
            tree = Tree([leaf_bytes(chunk) for chunk in chunks])
            drawn = challenged(leaves, file_digest(folder / MODEL), tree.root, rules.queries)
            made = {operation.output: operation for operation in program.operations}
            ends = leaves.all_of([*program.inputs, *program.outputs])
            opened = sorted(ends | set(drawn) | leaves.needed(made, drawn))
            proof = {
                "format": FORMAT,
                "root": tree.root.hex(),
                "leaves": {str(place): [element(int(value)) for value in chunks[place]] for place in opened},
                "paths": {str(place): [step.hex() for step in tree.path(place)] for place in opened},
            }
            write_whole(out, msgspec.json.encode(proof))
        return took[0]

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        del subject
        try:
            return _checked(keys, sizes, proof)
        except _unreadable() as error:
            return Finding(boundary=None, refused=f"is of keys that are no circuit ({str(error)[:120]})")

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        del keys, subject
        return tuple(element(value) for value in values)


def _checked(keys: Mapping[str, Path], sizes: Sizes, proof: bytes) -> Finding:
    program, rules = read_program(keys[MODEL].read_bytes()), _rules(keys[SETTINGS])
    leaves = Leaves(program)
    opening = parse_opening(proof, leaves)
    if isinstance(opening, str):
        return Finding(boundary=None, refused=opening)
    drawn = challenged(leaves, file_digest(keys[MODEL]), opening.root, rules.queries)
    if reason := _wrong(program, leaves, opening, drawn):
        return Finding(boundary=None, refused=reason)
    known = _Known(leaves, opening)
    marks = [tuple(element(v) for v in known.whole(name)) for name in (*program.inputs, *program.outputs)]
    if [len(mark) for mark in marks] != [*sizes.inputs, *sizes.outputs]:
        return Finding(boundary=None, refused="is of a circuit with another boundary")
    split, doubt = len(program.inputs), _doubt(len(drawn), len(leaves.computed()))
    return Finding(
        boundary=Boundary(inputs=tuple(marks[:split]), outputs=tuple(marks[split:])), promise=_PROMISE, doubt=doubt
    )


def _doubt(drawn: int, count: int) -> str:
    """What a spot check leaves open; nothing where all was recomputed."""
    if drawn >= count:
        return ""
    return (
        f"only {drawn} of its {count} leaves were recomputed: one wrong leaf passes {1 - drawn / count:.1%} of the "
        "tries, and whoever proves may try often (compile without --queries)"
    )


def _unreadable() -> tuple[type[Exception], ...]:
    """What a model that is none, or lies about its shapes, raises."""
    message = importlib.import_module("google.protobuf.message")
    found = (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, RuntimeError)
    return (*found, msgspec.DecodeError, PartwiseError, message.DecodeError)


def _refuse_unfit(settings: CircuitSettings, subject: str) -> None:
    if settings.visibility is not Visibility.PUBLIC:
        raise InputError(subject, "cannot hide its values: recompute proofs show them",
                         got=f"--visibility {settings.visibility}", hint="--prover ezkl.")  # fmt: skip
    if settings.integer:
        raise InputError(subject, "is rounded to integers by this prover itself", got="--integer",
                         hint="--scale sets the binary digits.")  # fmt: skip


class _Known:
    """Opened values by tensor and element."""

    def __init__(self, leaves: Leaves, opening: Opening) -> None:
        self._leaves, self._opening = leaves, opening

    def values(self, name: str, indices: Indices) -> Big:
        found = np.empty(indices.shape, object)
        for place, index in enumerate(indices.reshape(-1)):
            leaf, within = self._leaves.place(name, int(index))
            found.reshape(-1)[place] = self._opening.leaves[leaf][within]
        return found

    def whole(self, name: str) -> list[int]:
        return [value for leaf in sorted(self._leaves.all_of([name])) for value in self._opening.leaves[leaf]]


def _wrong(program: Program, leaves: Leaves, opening: Opening, drawn: tuple[int, ...]) -> str:
    """Why an opening is refused; empty where nothing is wrong with it."""
    made = {operation.output: operation for operation in program.operations}
    wanted = leaves.all_of([*program.inputs, *program.outputs]) | set(drawn) | leaves.needed(made, drawn)
    if wanted != set(opening.leaves):
        return "does not open the leaves that its root asks for"
    for place, values in opening.leaves.items():
        if root_of(leaf_bytes(values), place, leaves.count, opening.paths[place]) != opening.root:
            return f"opens leaf {place}, which its root does not hold"
    known = _Known(leaves, opening)
    for place in drawn:
        name, indices = leaves.at(place)
        if tuple(compute(program, made[name], indices, known.values)) != opening.leaves[place]:
            return f"holds a value of `{name}` that does not follow from the model"
    return ""


def _drawn(model: Path, inputs: Sequence[Values]) -> tuple[Drawn, Program]:
    """A circuit read back from its file."""
    data = model.read_bytes()
    program = read_program(data)
    if [len(values) for values in inputs] != [int(np.prod(program.shapes[name])) for name in program.inputs]:
        raise ProverError("inputs", "are not of the circuit's sizes")

    def ports(names: Sequence[str]) -> tuple[CircuitPort, ...]:
        return tuple(CircuitPort(name=name, shape=program.shapes[name], bits=None) for name in names)

    return Drawn(model=data, inputs=ports(program.inputs), outputs=ports(program.outputs)), program


def _witness(path: Path, subject: str) -> dict[str, Big]:
    try:
        texts = json_record(path.read_bytes(), dict[str, list[str]], subject, what="has no witness of this prover",
                            error=ProverRefusedError)  # fmt: skip
    except OSError:
        raise ProverRefusedError(subject, "has no witness of this prover", got=path.name) from None
    if not all(is_element(text) for column in texts.values() for text in column):
        raise ProverRefusedError(subject, "has a witness with something that is no value", got=path.name)
    return {name: np.array([number(text) for text in column], object) for name, column in texts.items()}


def _rules(path: Path) -> _Settings:
    found = json_record(path.read_bytes(), _Settings, path.name, what="is of no circuit", error=ProverRefusedError)
    if found.format != FORMAT:
        raise ProverRefusedError(path.name, "is of another version", expected=FORMAT, got=found.format[:80])
    return found


def _key_file(folder: Path, name: str) -> KeyFile:
    return KeyFile(name=name, digest=file_digest(folder / name), size=(folder / name).stat().st_size)


@contextmanager
def _measured() -> Generator[list[Measured]]:
    """What the block takes; the peak is that of the whole process so far."""
    found, start, cpu = list[Measured](), time.monotonic(), time.process_time()
    yield found
    peak = resident()[1] or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found.append(Measured(seconds=time.monotonic() - start, cpu_s=time.process_time() - cpu, peak_bytes=peak))
