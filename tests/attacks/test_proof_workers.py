"""What a worker hands in that is no proof of its task, and proofs of the recomputing prover in a second spelling."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partwise.dsperse import (
    Layout,
    compile_slices,
    prove_run,
    read_manifest,
    run_slices,
    slice_model,
    verify_sliced_run,
)
from partwise.dsperse.kept import Kept
from partwise.dsperse.proving import Proving
from partwise.dsperse.records import read_result
from partwise.errors import InputError, ProverError
from partwise.runtime.schedule import Compute, Event, Failed, Fault
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.prover import Measured
from partwise.verification.zk.workers.hands import ProvingHands
from partwise.verification.zk.workers.messages import Proved, recipe_of
from zk_models import own_folders, request_file, skip_model

TOOK = Measured(seconds=1, cpu_s=1, peak_bytes=1)


class Way:
    """Two requests on one compiled model; the first one's proofs are all there, the second's are to be made."""

    def __init__(self, folder: Path) -> None:
        self.prover: Prover = make_prover("recompute")
        self.layout: Layout = slice_model(skip_model(folder / "model.onnx"))[0]
        compile_slices(self.layout, self.prover, CircuitSettings(scale=10))
        self.first, self.second = (
            run_slices(self.layout, self.prover, request_file(folder / f"{seed}.json", seed)).path for seed in (1, 2)
        )
        prove_run(self.layout, self.first, self.prover)

    def work(self) -> Proving:
        manifest = read_manifest(self.layout)
        assert manifest is not None
        kept = Kept(
            layout=self.layout, run=self.second, prover=self.prover, manifest=manifest, result=read_result(self.second)
        )
        return Proving(kept, [0, 1, 2])

    def proof(self, run: Path, segment: int) -> Path:
        return run / f"segment_{segment}" / "proof.json"

    def honest(self, folder: Path) -> Path:
        out, job = folder / "honest", self.work().job(1)
        self.prover.prove(job.circuit, job.folder, job.witness, out, job.subject)
        return out


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Generator[Way]:
    folder = tmp_path_factory.mktemp("way")
    with own_folders(folder):
        yield Way(folder)


def test_an_honest_proof_of_another_request_is_not_kept(way: Way) -> None:
    """It verifies under the pinned key: kept as this run's, it would be reused for ever, and the whole refused."""
    for segment in range(3):
        with pytest.raises(ProverError, match="of other values than those of the run"):
            way.work().accept(segment, way.proof(way.first, segment), TOOK)
        assert not way.proof(way.second, segment).exists()
    assert all(one.proof_execution is None for one in read_result(way.second).segments)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [Path.absolute, Path.mkdir, os.mkfifo, _zeros])
def test_no_file_where_a_proof_should_be(make: Callable[[Path], object], way: Way, tmp_path: Path) -> None:
    """Said to be written, and is not, or never ends."""
    make(tmp_path / "proof")
    with pytest.raises(ProverError, match="there is no proof"):
        way.work().accept(0, tmp_path / "proof", TOOK)


@pytest.mark.parametrize("name", ["run_result.json", "input.json", "output.json", "proofs.zip"])
@pytest.mark.parametrize("make", [os.mkfifo, _zeros])
def test_a_run_folder_whose_files_never_end(
    name: str, make: Callable[[Path], object], way: Way, tmp_path: Path
) -> None:
    """A pipe that nobody writes to, a device that always gives more: `verify` waited, or took all memory."""
    shutil.copytree(way.layout.folder, tmp_path / "given", symlinks=True)
    run = tmp_path / "given" / "run" / "run_1"
    (run / name).unlink()
    make(run / name)
    layout = Layout(tmp_path / "given")
    if name == "run_result.json":
        found = verify_sliced_run(layout, run, way.prover).verdict
        assert found.outcome is Outcome.INCONCLUSIVE
        assert any("is no regular file" in note for note in found.notes)
    else:
        with pytest.raises(InputError, match=r"is no file|has no proofs"):
            verify_sliced_run(layout, run, way.prover)


class _Hands(ProvingHands):
    """Hands that hear what a test says, and whose workers are nobody."""

    def heard(self, task: Compute, done: Proved, proof: bytes) -> Event:
        self._tasks[task.ticket] = task
        self._proof(task.ticket).write_bytes(proof)
        return self._event(task.worker, done)


@pytest.mark.parametrize("took", [math.nan, math.inf, -1.0])
def test_a_proof_in_no_time_that_there_is(took: float, way: Way, tmp_path: Path) -> None:
    """A record has no word for it: the whole call ended where one worker lied about its clock."""
    proof, task = way.honest(tmp_path).read_bytes(), Compute(ticket=5, request=0, stage=1, worker=0)
    with closing(_Hands(way.work(), recipe_of(way.prover), tmp_path, [])) as hands:
        told = hands.heard(task, Proved(5, replace(TOOK, cpu_s=took)), proof)
        assert isinstance(told, Failed)
        assert told.fault is Fault.LIED


def _spelled(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def changed(proof: bytes) -> bytes:
        data = json.loads(proof)
        change(data)
        return msgspec.json.encode(data)

    return changed


def _renamed(proof: dict[str, Any], name: str) -> None:
    for kind in ("leaves", "paths"):
        proof[kind] = {(name if key == "1" else key): value for key, value in proof[kind].items()}


@pytest.mark.parametrize(
    "change",
    [
        *(
            _spelled(lambda proof, name=name: _renamed(proof, name))
            for name in ("+1", "01", " 1", "1_0", "\u0661", "-1")
        ),
        _spelled(lambda proof: proof.update(root=proof["root"].upper())),
        _spelled(lambda proof: proof.update(root=" ".join(proof["root"]))),
        _spelled(lambda proof: proof["paths"]["1"].__setitem__(0, proof["paths"]["1"][0].upper())),
        _spelled(lambda proof: proof["paths"]["1"].__setitem__(0, proof["paths"]["1"][0] + " ")),
        _spelled(lambda proof: proof["paths"]["1"].__setitem__(0, proof["paths"]["1"][0] + "00")),
    ],
)
def test_a_proof_has_one_spelling(change: Callable[[bytes], bytes], way: Way) -> None:
    """Places with signs, in other scripts' digits, hashes in capitals: the same proof under another digest."""
    proof, folder = way.proof(way.first, 1).read_bytes(), way.layout.circuit(1, "recompute")
    keys = {name: folder / name for name in ("circuit.onnx", "recompute.json")}
    manifest = read_manifest(way.layout)
    assert manifest is not None
    sizes = manifest.segments[1].sizes
    assert way.prover.check(keys, sizes, proof, "segment 1").refused == ""
    assert (
        "no proof" in (said := way.prover.check(keys, sizes, change(proof), "segment 1").refused) or "written" in said
    )
