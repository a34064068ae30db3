"""`compile`: circuits and keys of a sliced model's segments, and the manifest that pins them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partwise.digest import file_digest
from partwise.dsperse.chain import Chain, fixed_shape
from partwise.dsperse.fit import fit_slices
from partwise.dsperse.integers import Integers
from partwise.dsperse.layout import Layout
from partwise.dsperse.slice import write_onnx
from partwise.errors import InputError, ManifestError, PackageError
from partwise.files import read_regular, write_whole
from partwise.ir import DType
from partwise.packaging import Package, Port, open_package
from partwise.profiling.proof_choice import PEAK_MARGIN
from partwise.runtime.inputs import open_inputs
from partwise.verification.zk.compile import Compiled, compile_segment, is_made_here, open_circuit
from partwise.verification.zk.field import quantize
from partwise.verification.zk.manifest import (
    MOST_MANIFEST_BYTES,
    PROOF_VERSION,
    CircuitEntry,
    ProofManifest,
    ProvedSegment,
    Wire,
    proof_manifest_from_bytes,
    proof_manifest_problems,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.moves import moves_of
from partwise.verification.zk.names import is_name
from partwise.verification.zk.pins import note_manifest, noted_manifest
from partwise.verification.zk.prover import Circuit, Prover
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["CompileResult", "circuit_entry", "compile_slices", "parse_layers", "wire_of"]

_DIGITS = 9
"""Of a segment's number at most; Python reads no integer of thousands."""
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileResult:
    """What was compiled."""

    manifest: ProofManifest
    compiled: Mapping[int, Compiled]
    """Of this call, by segment."""


def parse_layers(text: str | None, count: int) -> tuple[int, ...]:
    """Numbers of segments from `0,2-4`; all where nothing is said.

    Raises:
        InputError: not of that form, or a segment that there is not.
    """
    if text is None:
        return tuple(range(count))
    found = set[int]()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError("--layers", "is no list of segments", expected="for example 0,2-4", got=text[:80])
        ends = [number.lstrip("0") or "0" for number in (first, last if dash else first)]
        if beyond := [number for number in ends if len(number) > _DIGITS or int(number) >= count]:
            missing = max(int(ends[0]), count) if len(ends[0]) <= _DIGITS else beyond[0][:20]
            raise InputError("--layers", f"there is no segment {missing}", expected=f"0-{count - 1}", got=text[:80])
        found.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(found))


def compile_slices(
    layout: Layout,
    prover: Prover,
    settings: CircuitSettings | Mapping[int, CircuitSettings],
    *,
    layers: Collection[int] | None = None,
    inputs: Path | None = None,
    memory_bytes: int | None = None,
    on_progress: Progress | None = None,
) -> CompileResult:
    """Make the circuits of chosen segments; what is finished and unchanged is reused.

    Args:
        layout: of `slice`.
        prover: makes the keys.
        settings: of all circuits, or of each.
        layers: numbers of segments; None for all. Circuits of other segments stay as they are.
        inputs: a request to size lookups by; seeded random values by default.
        memory_bytes: that a proof of one segment may take, in integer mode: where one is predicted to need more, the
            model is divided anew and the package cut again. Of all segments only.
        on_progress: called with (what is being done, how much is done, how much there is).

    Raises:
        UnsupportedOpError: an operator that the prover lacks, with its segment.
        ProverError: the prover failed.
    """
    package = open_package(layout.package)
    peak_bytes = None if memory_bytes is None else int(memory_bytes / PEAK_MARGIN)
    if peak_bytes is not None:
        package = _fitted(layout, package, settings, layers, inputs, peak_bytes, on_progress)
    _refuse_names(package)
    chosen = range(len(package.manifest.segments)) if layers is None else sorted(layers)
    requests = list(open_inputs(inputs, package))
    chains = [Chain(package, request) for request in requests]
    compiled = dict[int, Compiled]()
    integers = Integers(package, requests, peak_bytes)
    for number in range(len(package.manifest.segments)):
        used = settings if isinstance(settings, CircuitSettings) else settings[number]
        if used.integer:
            integers.enter(number, write_onnx(layout, package, number), used, needed=number in chosen)
        if number in chosen and not _is_moved(layout, number, used, integers):
            if on_progress:
                on_progress(f"segment {number}", len(compiled), len(chosen))
            compiled[number] = _compile(layout, package, number, prover, used, chains, integers)
        for chain in chains:
            chain.run(number)
    manifest = _with_pieces(layout, _manifest(layout, package, prover))
    write_whole(layout.manifest, proof_manifest_to_bytes(manifest))
    note_manifest(layout.slices, manifest.digest)
    return CompileResult(manifest=manifest, compiled=compiled)


def _refuse_names(package: Package) -> None:
    """Before any key is made: a verdict names tensors, and a manifest with names that cannot be read is refused."""
    segments = package.manifest.segments
    tensors = [port.tensor for segment in segments for port in (*segment.inputs, *segment.outputs)]
    model = package.manifest.model
    for name in (*([model] if model else []), *tensors, *(output.name for output in package.manifest.outputs)):
        if not is_name(name):
            kind = "model" if name == model else "tensor"
            raise InputError(f"{kind} {name[:80]!r}", "has a name that no verdict could show",
                             expected="letters that can be printed, in Unicode's form NFC",
                             hint="rename it in the model.")  # fmt: skip


def _fitted(
    layout: Layout,
    package: Package,
    settings: CircuitSettings | Mapping[int, CircuitSettings],
    layers: Collection[int] | None,
    inputs: Path | None,
    peak_bytes: int,
    on_progress: Progress | None,
) -> Package:
    if not isinstance(settings, CircuitSettings) or not settings.integer or layers is not None:
        raise InputError("--memory", "is for all segments in integer mode", expected="--integer, no --layers")
    if settings.logrows is not None or settings.visibility is not Visibility.PUBLIC:
        raise InputError("--memory", "is kept by predicted peaks, which are those of public values and chosen rows",
                         expected="--visibility public, no --logrows")  # fmt: skip
    return fit_slices(layout, package, settings.scale, list(open_inputs(inputs, package)), peak_bytes, on_progress)


def _compile(
    layout: Layout,
    package: Package,
    number: int,
    prover: Prover,
    settings: CircuitSettings,
    chains: list[Chain],
    integers: Integers,
) -> Compiled:
    subject, folder, onnx = (
        f"segment {number}",
        layout.circuit(number, prover.name),
        write_onnx(layout, package, number),
    )
    if settings.integer:
        lowered, chosen, given = integers.lowered(number, onnx.with_name("circuit.onnx"), settings)
        return compile_segment(prover, onnx, chosen, given, folder, subject, lowered=lowered)
    ports = package.manifest.segments[number].inputs
    examples = [
        tuple(_example(chain.plain_inputs(number)[port.tensor], port, settings, subject) for port in ports)
        for chain in chains
    ]
    return compile_segment(prover, onnx, settings, examples, folder, subject)


def _is_moved(layout: Layout, number: int, settings: CircuitSettings, integers: Integers) -> bool:
    """Whether the verifier moves a segment's values itself, which proofs show: no circuit is made."""
    if not settings.integer or settings.visibility is not Visibility.PUBLIC:
        return False
    moves = moves_of(layout.onnx(number).read_bytes())
    return bool(moves) and integers.keeps_digits(moves)


def _example(array: np.ndarray, port: Port, settings: CircuitSettings, subject: str) -> tuple[int, ...]:
    fixed_shape(port)
    is_float = port.dtype in (DType.FLOAT32, DType.FLOAT64, DType.FLOAT16)
    return quantize(array, settings.scale if is_float else 0, f"{subject}, `{port.tensor}`")


def _manifest(layout: Layout, package: Package, prover: Prover) -> ProofManifest:
    """The manifest of all circuits that there are."""
    source = package.manifest
    segments = list[ProvedSegment]()
    for number, entry in enumerate(source.segments):
        onnx = file_digest(write_onnx(layout, package, number))
        folder = layout.circuit(number, prover.name)
        circuit = open_circuit(folder, onnx, prover) if is_made_here(folder) else None  # nothing else is pinned
        moves = moves_of(layout.onnx(number).read_bytes()) if circuit is None else ()
        scales_in = circuit.input_scales if circuit else (None,) * len(entry.inputs)
        scales_out = circuit.output_scales if circuit else (None,) * len(entry.outputs)
        segments.append(
            ProvedSegment(
                onnx=onnx,
                inputs=tuple(wire_of(port, scale) for port, scale in zip(entry.inputs, scales_in, strict=True)),
                outputs=tuple(wire_of(port, scale) for port, scale in zip(entry.outputs, scales_out, strict=True)),
                circuit=None if circuit is None else circuit_entry(circuit),
                moves=moves,
            )
        )
    ways = {segment.circuit.settings.visibility for segment in segments if segment.circuit is not None}
    if ways - {Visibility.PUBLIC}:
        segments = [replace(segment, moves=()) for segment in segments]
    manifest = ProofManifest(
        version=PROOF_VERSION,
        prover=prover.name,
        prover_version=prover.version,
        model=source.model,
        package=package.digest,
        inputs=tuple(wire_of(port, None) for port in source.inputs),
        outputs=source.outputs,
        segments=tuple(segments),
    )
    if problems := list(proof_manifest_problems(manifest)):
        hint = "compile all with the same --scale, --visibility and, for polycommit, --logrows."
        raise PackageError("circuits", f"cannot be linked: {problems[0]}", hint=hint)
    return manifest


def _with_pieces(layout: Layout, made: ProofManifest) -> ProofManifest:
    """The manifest with the pieces that this machine made of segments that are as they were."""
    try:
        known = proof_manifest_from_bytes(read_regular(layout.manifest, MOST_MANIFEST_BYTES), str(layout.manifest))
    except (OSError, ManifestError):
        return made
    if known.digest != noted_manifest(layout.slices) or len(known.segments) != len(made.segments):
        return made
    pairs = zip(made.segments, known.segments, strict=True)
    kept = (old if replace(old, pieces=()) == new else new for new, old in pairs)
    return replace(made, segments=tuple(kept))


def circuit_entry(circuit: Circuit) -> CircuitEntry:
    """A circuit as a manifest pins it."""
    return CircuitEntry(settings=circuit.settings, keys=circuit.keys, rows=circuit.rows, common=circuit.common)


def wire_of(port: Port, scale: int | None) -> Wire:
    """A port as a manifest names it."""
    return Wire(tensor=port.tensor, shape=fixed_shape(port), dtype=port.dtype, scale=scale, source=port.source)
