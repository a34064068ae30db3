"""Make a segment's circuit and keys: whole or not at all, and not again when nothing changed.

    <folder>/circuit.json     what was asked for and what came of it; written last
             ...              the prover's files

The keys are made in a folder beside it that takes its place when it is complete, so a compile that was killed
leaves nothing that the next one could take for finished.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from partwise.digest import canonical_json, file_digest, sha256_digest
from partwise.errors import InputError, PackageError
from partwise.files import read_regular, working_folder
from partwise.strict_json import json_record
from partwise.verification.zk.field import Values
from partwise.verification.zk.pins import note_circuit, noted_circuit
from partwise.verification.zk.prover import Circuit, Prover
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["Compiled", "Lowered", "compile_segment", "is_made_here", "is_whole", "open_circuit"]

_RECORD = "circuit.json"
_MOST_BYTES = 1 << 24
"""Of a record. Assumed; most have 2 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A circuit, and whether it was there already."""

    circuit: Circuit
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A segment in integer mode: another ONNX file of the same interface, whose integers have digits of their own."""

    path: Path
    input_digits: tuple[int, ...]
    """Binary digits after the point of each input's integers."""
    output_digits: tuple[int, ...]

    def rescaled(self, circuit: Circuit) -> Circuit:
        """The circuit with the scales that its values have outside; inside the prover they have none."""
        inputs = (scale + more for scale, more in zip(circuit.input_scales, self.input_digits, strict=True))
        outputs = (scale + more for scale, more in zip(circuit.output_scales, self.output_digits, strict=True))
        return replace(circuit, input_scales=tuple(inputs), output_scales=tuple(outputs))


class _Record(msgspec.Struct, frozen=True):
    question: str
    circuit: Circuit


class _Question(msgspec.Struct, frozen=True):
    """What a record says of the keys' own prover and segment."""

    prover: str
    version: str
    onnx: str


def compile_segment(
    prover: Prover,
    segment: Path,
    settings: CircuitSettings,
    examples: Sequence[tuple[Values, ...]],
    folder: Path,
    subject: str,
    *,
    lowered: Lowered | None = None,
) -> Compiled:
    """A segment's circuit and keys in `folder`.

    Args:
        prover: makes them.
        segment: the ONNX file, weights included.
        settings: of the circuit.
        examples: see `Prover.setup`; other examples alone do not make a finished circuit again.
        folder: of the circuit.
        subject: what errors are about.
        lowered: the segment in integer mode, proved in its place.

    Raises:
        UnsupportedOpError: an operator that the prover lacks.
        ProverError: the prover failed.
        PackageError: the disk refuses.
    """
    question = _question(prover, segment, settings, lowered)
    known = _open(folder) if is_made_here(folder) else None
    if known is not None and known.question == question and is_whole(folder, known.circuit):
        return Compiled(circuit=known.circuit, reused=True)
    try:
        return Compiled(
            circuit=_make(prover, lowered or segment, settings, examples, folder, subject, question), reused=False
        )
    except OSError as error:
        hint = "call it again: what is finished stays."
        raise PackageError(str(folder), f"cannot be written ({error.strerror})", hint=hint) from None


def is_made_here(folder: Path) -> bool:
    """Whether the circuit in a folder is the one that this machine made there."""
    path = folder / _RECORD
    return path.is_file() and file_digest(path) == noted_circuit(folder)


def open_circuit(folder: Path, onnx: str, prover: Prover) -> Circuit | None:
    """The finished circuit of a segment; None where there is none.

    Args:
        folder: of the circuit.
        onnx: digest of the segment's ONNX file.
        prover: must be the keys' own, in their version.

    Raises:
        PackageError: the keys are another version's, or of another segment.
    """
    if (known := _open(folder)) is None:
        return None
    made = json_record(
        known.question.encode(), _Question, str(folder), what="its record asks nothing", error=PackageError
    )
    if (made.prover, made.version) != (prover.name, prover.version):
        raise PackageError(str(folder), "its keys are another prover's", expected=f"{made.prover} {made.version}",
                           got=f"{prover.name} {prover.version}", hint="partwise compile")  # fmt: skip
    if made.onnx != onnx:
        raise PackageError(str(folder), "its keys are another segment's", hint="partwise compile")
    return known.circuit


def _question(prover: Prover, segment: Path, settings: CircuitSettings, lowered: Lowered | None) -> str:
    asked: dict[str, object] = {"prover": prover.name, "version": prover.version, "onnx": file_digest(segment)}
    if lowered is not None:
        asked |= {"circuit": file_digest(lowered.path), "digits": [*lowered.input_digits, *lowered.output_digits]}
    return canonical_json(asked | {"settings": msgspec.to_builtins(settings)}).decode()


def _make(
    prover: Prover,
    segment: Path | Lowered,
    settings: CircuitSettings,
    examples: Sequence[tuple[Values, ...]],
    folder: Path,
    subject: str,
    question: str,
) -> Circuit:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(folder.parent, folder.name) as partial:
        if isinstance(segment, Lowered):
            circuit = segment.rescaled(prover.setup(segment.path, settings, examples, partial, subject))
        else:
            circuit = prover.setup(segment, settings, examples, partial, subject)
        record = _Record(question=question, circuit=circuit)
        data = canonical_json(msgspec.to_builtins(record))
        note_circuit(folder, sha256_digest(data))
        with (partial / _RECORD).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return circuit


def _open(folder: Path) -> _Record | None:
    try:
        return json_record(
            read_regular(folder / _RECORD, _MOST_BYTES), _Record, _RECORD, what="is no record of a circuit"
        )
    except (OSError, InputError):
        return None


def is_whole(folder: Path, circuit: Circuit) -> bool:
    """Whether every file is there with its digest."""
    try:
        return all(
            (folder / key.name).stat().st_size == key.size and file_digest(folder / key.name) == key.digest
            for key in (*circuit.keys, *circuit.private)
        )
    except OSError:
        return False
