"""`run slices/`: a request through the chain, with a witness of each segment that has a circuit."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from partwise.digest import file_digest
from partwise.dsperse.chain import Chain, Step
from partwise.dsperse.layout import Layout, run_number, runs_of
from partwise.dsperse.records import RunResult, SegmentRun, WitnessExecution, read_result, write_result
from partwise.dsperse.slice import write_onnx
from partwise.dsperse.tensors import read_tensors, write_tensors
from partwise.errors import InputError, RunError
from partwise.files import read_regular, working_folder
from partwise.packaging import Package, open_package
from partwise.runtime.nested import array_of
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.field import Values
from partwise.verification.zk.manifest import MOST_MANIFEST_BYTES, ProofManifest, proof_manifest_from_bytes
from partwise.verification.zk.moves import moves_of
from partwise.verification.zk.pieces import whole
from partwise.verification.zk.prover import Circuit, Prover

__all__ = ["SlicedRun", "read_manifest", "run_slices", "unfinished_run"]

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedRun:
    """A finished run."""

    path: Path
    result: RunResult
    outputs: dict[str, np.ndarray]


def run_slices(
    layout: Layout,
    prover: Prover,
    inputs: Path,
    *,
    layers: Collection[int] | None = None,
    max_error: float | None = None,
    on_progress: Progress | None = None,
) -> SlicedRun:
    """Run a request, and leave `run/run_<n>/` with what `prove` needs; nothing is left when it fails.

    Args:
        layout: of `slice`.
        prover: makes witnesses.
        inputs: the request, `.json` or `.npz`.
        layers: segments whose circuits are used; None for all that have one. The others run plainly.
        max_error: of any output against onnxruntime's chain.
        on_progress: called with (what is being done, how much is done, how much there is).

    Raises:
        InputError: a request that does not fit, or a value out of a circuit's range.
        RunError: the answer is further from onnxruntime's than `max_error`.
    """
    package = open_package(layout.package)
    circuits = _circuits(layout, package, prover, layers)
    chain = Chain(package, _request(package, inputs))
    layout.runs.mkdir(exist_ok=True)
    with working_folder(layout.runs, "run") as partial:
        segments = _run_all(layout, prover, chain, circuits, partial, len(package.manifest.segments), on_progress)
        result = _finish(layout, package, chain, segments, partial, max_error)
        partial.chmod(0o755)
        path = _numbered(layout, partial)
    return SlicedRun(path=path, result=result, outputs=chain.outputs())


def unfinished_run(
    layout: Layout, prover: Prover, inputs: Path, layers: Collection[int] | None, max_error: float | None
) -> SlicedRun | None:
    """The newest run, if it ran this request on these circuits and has no verdict yet: where a killed call stopped."""
    newest = runs_of(layout)[-1:]
    if not newest or (result := read_result(newest[0])).verdict is not None:
        return None
    package = open_package(layout.package)
    manifest, wanted = read_manifest(layout), set(_circuits(layout, package, prover, layers))
    witnessed = {n for n, one in enumerate(result.segments) if one.witness_execution.witness is not None}
    same = (
        result.manifest == (manifest and whole(manifest).digest)
        and result.max_error == max_error
        and witnessed == wanted
    )
    if not same or not _is_same(Chain(package, _request(package, inputs)), package, newest[0] / "input.json"):
        return None
    outputs = read_tensors(newest[0] / "output.json", [])
    return SlicedRun(path=newest[0], result=result, outputs=outputs)


def _is_same(chain: Chain, package: Package, recorded: Path) -> bool:
    ports = package.manifest.inputs
    known = read_tensors(recorded, [])
    return all(np.array_equal(known.get(port.tensor, ()), chain.request(port.tensor)) for port in ports)


def read_manifest(layout: Layout) -> ProofManifest | None:
    """The manifest of proofs that lies in `slices/`; None where nothing was compiled."""
    if not layout.manifest.is_file():
        return None
    try:
        data = read_regular(layout.manifest, MOST_MANIFEST_BYTES)
    except OSError as error:
        raise InputError(str(layout.manifest), f"cannot be read ({error.strerror})") from None
    return proof_manifest_from_bytes(data, str(layout.manifest))


def _circuits(layout: Layout, package: Package, prover: Prover, layers: Collection[int] | None) -> dict[int, Circuit]:
    found = dict[int, Circuit]()
    for number in range(len(package.manifest.segments)):
        if layers is not None and number not in layers:
            continue
        onnx = write_onnx(layout, package, number)
        circuit = open_circuit(layout.circuit(number, prover.name), file_digest(onnx), prover)
        if circuit is not None:
            found[number] = circuit
        elif layers is not None and not moves_of(onnx.read_bytes()):
            raise InputError(f"segment {number}", "has no circuit", hint=f"partwise compile --layers {number}")
    return found


def _request(package: Package, inputs: Path) -> dict[str, np.ndarray]:
    ports = package.manifest.inputs
    wanted = [(port.tensor, tuple(int(size) for size in port.shape or () if isinstance(size, int))) for port in ports]
    given = read_tensors(inputs, wanted)
    for name, shape in wanted:
        if name not in given:
            raise InputError(f"input `{name}`", "is missing", got=", ".join(given)[:200])
        if given[name].shape != shape:
            raise InputError(f"input `{name}`", "has another shape", expected=list(shape), got=list(given[name].shape))
        if given[name].dtype.kind not in "iuf":
            raise InputError(f"input `{name}`", "cannot enter a circuit", expected="numbers", got=given[name].dtype)
        if given[name].size == 0 or not np.isfinite(given[name]).all():
            raise InputError(f"input `{name}`", "is empty or holds something that is no finite number")
    if unknown := [name for name in given if name not in dict(wanted)]:
        raise InputError(f"input `{unknown[0][:80]}`", "is no input of this model", expected=", ".join(dict(wanted)))
    return {port.tensor: array_of(given[port.tensor], port, f"input `{port.tensor}`") for port in ports}


def _run_all(
    layout: Layout,
    prover: Prover,
    chain: Chain,
    circuits: dict[int, Circuit],
    folder: Path,
    count: int,
    on_progress: Progress | None,
) -> list[SegmentRun]:
    done = list[SegmentRun]()
    for number in range(count):
        if on_progress:
            on_progress(f"segment {number}", number, count)
        here = folder / f"segment_{number}"
        here.mkdir()
        start, witness = time.monotonic(), here / "witness.json"
        step = _run_one(layout, prover, chain, circuits.get(number), number, witness)
        write_tensors(here / "input.json", step.inputs)
        write_tensors(here / "output.json", step.outputs)
        made = witness.is_file()
        execution = WitnessExecution(
            method=prover.name if made else step.method,
            seconds=time.monotonic() - start,
            witness=file_digest(witness) if made else None,
            error=step.error,
        )
        done.append(SegmentRun(segment_id=f"segment_{number}", witness_execution=execution))
    return done


def _run_one(layout: Layout, prover: Prover, chain: Chain, circuit: Circuit | None, number: int, out: Path) -> Step:
    if circuit is None:
        return chain.run(number)
    folder = layout.circuit(number, prover.name)

    def witness(values: tuple[Values, ...]) -> tuple[Values, ...]:
        return prover.witness(circuit, folder, values, out, f"segment {number}")

    return chain.run(number, circuit, witness)


def _finish(
    layout: Layout, package: Package, chain: Chain, segments: list[SegmentRun], folder: Path, max_error: float | None
) -> RunResult:
    errors = chain.errors()
    worst = max(errors, key=lambda name: errors[name])
    if max_error is not None and not errors[worst] <= max_error:
        raise RunError(
            f"output `{worst}`",
            "is further from onnxruntime's than --max-error",
            expected=f"≤ {max_error:g}",
            got=f"{errors[worst]:.6g}",
            hint="a larger --scale, and compile again.",
        )
    manifest = read_manifest(layout)
    result = RunResult(
        model=package.manifest.model,
        package=package.digest,
        manifest=None if manifest is None else whole(manifest).digest,
        error=errors,
        max_error=max_error,
        total_segments=len(segments),
        witness_segments=0,
        segments=tuple(segments),
    )
    write_tensors(folder / "input.json", {port.tensor: chain.request(port.tensor) for port in package.manifest.inputs})
    write_tensors(folder / "output.json", chain.outputs())
    write_result(folder, result)
    return result


def _numbered(layout: Layout, partial: Path) -> Path:
    """Move a whole run to the next number that is free; another call may take one at the same time."""
    while True:
        path = layout.runs / f"run_{_next_number(layout)}"
        try:
            return partial.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _next_number(layout: Layout) -> int:
    return max((number for path in layout.runs.iterdir() if (number := run_number(path)) is not None), default=0) + 1
