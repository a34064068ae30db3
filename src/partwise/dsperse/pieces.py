"""Pieces of a segment that could not be proved whole: cut, made circuits, and run on what the segment was given.

A piece is cut as the runtime cuts a stage (`runtime.cutter`): a pure function of the package and the piece's place.
Pieces stand for their segment only if they give the very field elements that it gave in the run: every proof made of
other segments then stays as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.digest import file_digest
from partwise.dsperse.chain import fixed_shape, largest_difference
from partwise.dsperse.compile import circuit_entry, wire_of
from partwise.dsperse.integers import MARGIN_BITS, settled
from partwise.dsperse.layout import Layout, place_folder
from partwise.dsperse.records import SegmentRun, WitnessExecution
from partwise.dsperse.tensors import read_tensors, write_tensors
from partwise.errors import RunError
from partwise.files import write_whole
from partwise.packaging import Package, Segment
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.cutter import Cutter
from partwise.runtime.engines import make_engine
from partwise.runtime.piece import PieceFile, piece_segment
from partwise.runtime.schedule import Demand
from partwise.verification.zk.circuits import bounds, lower
from partwise.verification.zk.compile import Lowered, compile_segment
from partwise.verification.zk.field import Values, dequantize, quantize
from partwise.verification.zk.manifest import ProvedSegment
from partwise.verification.zk.pieces import Place, place_name
from partwise.verification.zk.prover import Circuit, Prover
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["Made", "make_pieces"]

Fixed = dict[str, tuple[Values, int]]
"""By tensor: its integers, and their binary digits after the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One piece, ready to be proved."""

    entry: ProvedSegment
    run: SegmentRun
    circuit: Circuit
    demand: Demand
    """Its parameters and layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Half:
    place: Place
    file: PieceFile
    segment: Segment
    demand: Demand


def make_pieces(
    layout: Layout, package: Package, prover: Prover, run: Path, place: Place, entry: ProvedSegment
) -> tuple[Made, ...]:
    """Cut a segment, or a piece of one, in two; make their circuits and witnesses.

    Args:
        layout: of `slice`.
        package: of the layout.
        prover: the one of the segment's keys.
        run: that the witnesses are for.
        place: of what is cut.
        entry: as the manifest has it.

    Raises:
        RunError: it is one layer already, or its pieces would give other values than it gave.
        ProverError: a piece's circuit or witness failed.
    """
    known = _recorded(run, place, entry)
    made = list[Made]()
    for half in _halves(package, place):
        made.append(_make(layout, package, prover, run, half, entry, known))
    for wire in entry.outputs:
        given, scale = known[wire.tensor]
        told = read_tensors(place_folder(run, place) / "output.json", [])[wire.tensor]
        if scale != wire.scale or given != quantize(told, scale, f"`{wire.tensor}`"):
            raise RunError(place_name(place), f"its pieces give another `{wire.tensor}` than it gave",
                           hint="slice the model finer (--max-layers), compile and run again.")  # fmt: skip
    return tuple(made)


def _halves(package: Package, place: Place) -> tuple[_Half, ...]:
    """The two pieces at a place: the same bytes whatever else was cut before.

    Raises:
        RunError: it is one layer already.
    """
    cutter, stage = Cutter(package), place[0]
    for step in place[1:]:
        cutter.cut(stage)
        stage = max(cutter.files) - 1 + step
    _, demands = cutter.cut(stage)
    first = max(cutter.files) - 1
    return tuple(
        _Half(
            place=(*place, step),
            file=cutter.files[first + step],
            segment=piece_segment(package, cutter.files[first + step]),
            demand=demand,
        )
        for step, demand in enumerate(demands)
    )


def _recorded(run: Path, place: Place, entry: ProvedSegment) -> Fixed:
    """What a segment was given in a run, as the integers that entered its circuit."""
    tensors = read_tensors(place_folder(run, place) / "input.json", [])
    scales = {wire.tensor: wire.scale or 0 for wire in entry.inputs}
    return {name: (quantize(tensors[name], scale, f"`{name}`"), scale) for name, scale in scales.items()}


def _make(
    layout: Layout, package: Package, prover: Prover, run: Path, half: _Half, parent: ProvedSegment, known: Fixed
) -> Made:
    """One piece; what it gives is added to `known`."""
    onnx = _write_onnx(layout, half)
    circuit = _compile(layout, prover, half, onnx, parent, known)
    ports = half.file.outputs
    entry = ProvedSegment(
        onnx=file_digest(onnx),
        inputs=tuple(
            wire_of(replace(port, source=None), scale)
            for port, scale in zip(half.file.inputs, circuit.input_scales, strict=True)
        ),
        outputs=tuple(wire_of(port, scale) for port, scale in zip(ports, circuit.output_scales, strict=True)),
        circuit=circuit_entry(circuit),
    )
    execution = _witness(layout, package, prover, run, half, circuit, known)
    made = SegmentRun(segment_id="_".join(map(str, ("segment", *half.place))), witness_execution=execution)
    return Made(entry=entry, run=made, circuit=circuit, demand=half.demand)


def _write_onnx(layout: Layout, half: _Half) -> Path:
    folder = place_folder(layout.slices, half.place)
    path, data = folder / f"{folder.name}.onnx", sealed_onnx(half.segment)
    if not path.is_file() or path.is_symlink() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return path


def _compile(layout: Layout, prover: Prover, half: _Half, onnx: Path, parent: ProvedSegment, known: Fixed) -> Circuit:
    """With the settings of the segment; rows, and in integer mode digits, are the piece's own."""
    assert parent.circuit is not None
    used, subject = parent.circuit.settings, place_name(half.place)
    commits = used.visibility is Visibility.POLYCOMMIT  # compares only between circuits of one size
    settings = used if commits else replace(used, logrows=None)
    folder = place_folder(layout.slices, half.place) / prover.name
    given = tuple(known[port.tensor][0] for port in half.file.inputs)
    if not used.integer:
        return compile_segment(prover, onnx, settings, [given], folder, subject).circuit
    lowered, chosen = _lowered(half, onnx, settings, known)
    return compile_segment(prover, onnx, chosen, [given], folder, subject, lowered=lowered).circuit


def _lowered(half: _Half, onnx: Path, settings: CircuitSettings, known: Fixed) -> tuple[Lowered, CircuitSettings]:
    digits = {port.tensor: known[port.tensor][1] for port in half.file.inputs}
    drawn = lower(onnx.read_bytes(), weight_bits=settings.scale, input_bits=digits)
    values = {
        port.tensor: np.array(known[port.tensor][0], object).reshape(fixed_shape(port)) for port in half.file.inputs
    }
    range_bits = bounds(drawn, values, spread=False).bit_length() + MARGIN_BITS
    return settled(drawn, range_bits, onnx.with_name("circuit.onnx"), settings)


def _witness(
    layout: Layout, package: Package, prover: Prover, run: Path, half: _Half, circuit: Circuit, known: Fixed
) -> WitnessExecution:
    """Run a piece's circuit on what is known, and leave what `prove` needs in the run's folder."""
    here, folder = place_folder(run, half.place), place_folder(layout.slices, half.place) / prover.name
    here.mkdir(parents=True, exist_ok=True)
    start, out = time.monotonic(), here / "witness.json"
    for port, scale in zip(half.file.inputs, circuit.input_scales, strict=True):
        if known[port.tensor][1] != scale:
            raise RunError(place_name(half.place), f"takes `{port.tensor}` at another scale than it is given",
                           expected=known[port.tensor][1], got=scale)  # fmt: skip
    given = tuple(known[port.tensor][0] for port in half.file.inputs)
    found = prover.witness(circuit, folder, given, out, place_name(half.place))
    for port, scale, values in zip(half.file.outputs, circuit.output_scales, found, strict=True):
        known[port.tensor] = values, scale
    floats = {
        port.tensor: dequantize(*known[port.tensor], fixed_shape(port))
        for port in (*half.file.inputs, *half.file.outputs)
    }
    outputs = {port.tensor: floats[port.tensor] for port in half.file.outputs}
    write_tensors(here / "input.json", {port.tensor: floats[port.tensor] for port in half.file.inputs})
    write_tensors(here / "output.json", outputs)
    plain = _plain(package, half, floats)
    return WitnessExecution(
        method=prover.name,
        seconds=time.monotonic() - start,
        witness=file_digest(out),
        error=max(largest_difference(outputs[name], plain[name]) for name in outputs),
    )


def _plain(package: Package, half: _Half, floats: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By onnxruntime, on the same inputs."""
    loaded = make_engine(package.manifest.engine, 1).load(half.segment)
    inputs = {port.tensor: floats[port.tensor].astype(numpy_dtype(port.dtype)) for port in half.file.inputs}
    return loaded.run(inputs, {})
