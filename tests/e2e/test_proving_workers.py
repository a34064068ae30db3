"""Proving farmed to workers: killed, stopped, failing, too small; the same verdict, or pieces and a new pin."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from partwise.dsperse import (
    Layout,
    ProvingIncident,
    RunResult,
    compile_slices,
    prove_run,
    read_manifest,
    run_slices,
    slice_model,
    verify_sliced_run,
)
from partwise.dsperse.layout import place_folder
from partwise.errors import PackageError, ProverError, ProverRefusedError, RunError
from partwise.runtime import Capacity, Policy
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.command_templates import CommandTemplates
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.pins import note_manifest, noted_manifest
from partwise.verification.zk.recompute import RecomputeProver
from partwise.verification.zk.workers import PROVING, Farm
from proving_workers import exact_model, killing, proving_workers, wait_for_end
from zk_models import TINY, own_folders, request_file, skip_model

pytest.importorskip("ezkl")

QUICK = replace(PROVING, exclude_s=1, backoff_s=0.01)


@pytest.fixture(autouse=True)
def _own(tmp_path: Path) -> Generator[None]:
    with own_folders(tmp_path):
        yield


class Way:
    """A model sliced, compiled and run; to be proved."""

    def __init__(self, folder: Path, model: Path, prover: Prover, settings: CircuitSettings, **limits: int) -> None:
        self.prover, self.incidents = prover, list[ProvingIncident]()
        self.layout: Layout = slice_model(model, **limits)[0]
        self.pin = compile_slices(self.layout, prover, settings).manifest.digest
        self.run = run_slices(self.layout, prover, request_file(folder / "input.json")).path

    def prove(self, workers: int = 2, policy: Policy = QUICK, **capacity: int) -> RunResult:
        farm = Farm(workers=workers, capacity=Capacity(**capacity), policy=policy)
        return prove_run(self.layout, self.run, self.prover, farm=farm, on_incident=self.incidents.append)

    def outcome(self, pin: str | None = None) -> Outcome:
        return verify_sliced_run(self.layout, self.run, self.prover, manifest=pin).verdict.outcome

    def said(self) -> list[str]:
        return [incident.what for incident in self.incidents]

    def left(self) -> list[Path]:
        return [path for path in self.run.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"]


def test_three_workers_killed(tmp_path: Path) -> None:
    way = Way(tmp_path, skip_model(tmp_path / "model.onnx"), make_prover("ezkl", insecure=True), TINY)
    with killing(os.getpid(), 3) as killer:
        result = way.prove()
    assert len(killer.killed) == 3
    assert way.said().count("lost") >= 3
    assert result.incidents == tuple(way.incidents)
    assert all("SIGKILL" in one.why for one in way.incidents if one.what == "lost")
    assert not proving_workers(os.getpid())
    assert way.outcome() is Outcome.ACCEPTED
    assert not way.left()


PICKY = """
import subprocess, sys
from pathlib import Path
folder, log = Path(sys.argv[1]), Path(sys.argv[4])
products = (folder / "circuit.onnx").read_bytes().count(b"MatMul")
with log.open("a") as file:
    file.write(f"{folder.parent.name} {products}\\n")
if products > 1:
    sys.exit("too many products for me")
sys.exit(subprocess.call([sys.executable, "-m", "partwise.verification.zk.recompute", "prove", *sys.argv[1:4]]))
"""


class Picky(RecomputeProver):
    """The second prover; its workers run a program in its stead, which refuses circuits of more than one product."""

    name, version = "command", "1"

    def __init__(self, folder: Path, *before: str) -> None:
        super().__init__()
        (folder / "picky.py").write_text(PICKY)
        self._prove = (*before, sys.executable, str(folder / "picky.py"), "{folder}", "{witness}", "{proof}")
        self._log = folder / "log"
        self.at_worker = "1"

    @property
    def options(self) -> dict[str, Any]:
        templates = CommandTemplates(
            version=self.at_worker, setup=(), witness=(), prove=(*self._prove, str(self._log)), verify=()
        )
        return {"templates": templates}

    @property
    def attempts(self) -> list[str]:
        return self._log.read_text().splitlines()


def test_what_fails_everywhere_is_proved_in_pieces(tmp_path: Path) -> None:
    prover = Picky(tmp_path)
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 3), prover, CircuitSettings(scale=8), stages=1)
    result = way.prove()
    assert way.said() == ["failed", "failed", "failed", "divided", *["failed"] * 3, "divided"]
    assert {one.worker for one in way.incidents[:2]} == {0, 1}, "repeated elsewhere"
    assert "too many products for me" in way.incidents[0].why
    assert prover.attempts.count("segment_0 3") == 3
    assert [one.proved for one in result.segments[0].pieces].count("proved") == 1, "the other is in pieces itself"
    assert result.proved_segments == 1
    assert way.outcome() is Outcome.ACCEPTED
    assert result.pinned == noted_manifest(way.layout.slices) != way.pin
    assert way.outcome(way.pin) is Outcome.INCONCLUSIVE
    assert way.outcome(result.pinned) is Outcome.ACCEPTED
    again = compile_slices(way.layout, way.prover, CircuitSettings(scale=8))
    assert again.manifest.digest == result.pinned, "compile keeps the pieces of what is as it was"


def test_a_layer_that_fails_everywhere_is_an_error_and_the_rest_is_kept(tmp_path: Path) -> None:
    prover = Picky(tmp_path, "sh", "-c", 'case "$2" in *segment_1*) exit 9;; esac; exec "$0" "$@"')
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 2), prover, CircuitSettings(scale=8), max_layers=1)
    with pytest.raises(ProverError, match=r"segment 1: prove by `sh` failed with 9"):
        way.prove()
    assert way.said()[-1] == "given up"
    assert way.said().count("failed") == 3
    record = json.loads((way.run / "run_result.json").read_bytes())
    assert [one["proved"] for one in record["segments"]] == ["proved", "not proved"]
    assert record["incidents"][-1]["segment"] == "1"
    assert not way.left()
    assert not proving_workers(os.getpid())
    way.prover = again = Picky(tmp_path)
    before = len(again.attempts)
    way.prove()
    assert again.attempts[before:] == ["segment_1 1"], "what is finished is kept"
    assert way.outcome(way.pin) is Outcome.ACCEPTED


@pytest.mark.parametrize("how", ["no program", "code 3", "other version"])
def test_what_the_prover_never_does_is_tried_once(tmp_path: Path, how: str) -> None:
    before = {"no program": (str(tmp_path / "none"),), "code 3": ("sh", "-c", "exit 3"), "other version": ()}[how]
    prover = Picky(tmp_path, *before)
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 1), prover, CircuitSettings(scale=8))
    if how == "other version":
        prover.at_worker = "2"
    why = {"no program": "cannot be run", "code 3": "failed with 3", "other version": "another version at a worker"}
    with pytest.raises(ProverRefusedError, match=why[how]):
        way.prove()
    assert way.said() == ["failed"]
    assert not way.left()


def test_an_srs_that_is_gone_is_asked_for_once_and_changed_keys_never_reach_the_prover(tmp_path: Path) -> None:
    """ezkl proves for ever with the key of another circuit, so it is not given one."""
    prover = make_prover("ezkl", insecure=True)
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 2), prover, TINY, max_layers=1)
    srs = tmp_path / "cache" / "partwise" / "srs"
    srs.rename(tmp_path / "elsewhere")
    with pytest.raises(ProverRefusedError, match="SRS: the one that the keys were made with is not here"):
        way.prove(workers=1)
    assert way.said() == ["failed"]
    (tmp_path / "elsewhere").rename(srs)
    keys = [way.layout.circuit(number, "ezkl") / "pk.key" for number in (0, 1)]
    whole = keys[0].read_bytes()
    for changed in (keys[1].read_bytes(), whole[:-1]):
        keys[0].write_bytes(changed)
        with pytest.raises(PackageError, match="segment 0: its keys were cut short or changed"):
            way.prove(workers=1)


@pytest.mark.parametrize("name", ["pk.key", "model.compiled", "witness.json"])
def test_files_that_are_cut_short_are_refused_by_ezkl_for_good(tmp_path: Path, name: str) -> None:
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 1), make_prover("ezkl", insecure=True), TINY)
    manifest, folder = read_manifest(way.layout), way.layout.circuit(0, "ezkl")
    assert manifest is not None
    circuit = open_circuit(folder, manifest.segments[0].onnx, way.prover)
    assert circuit is not None
    witness = way.run / "segment_0" / "witness.json"
    path = witness if name == witness.name else folder / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ProverRefusedError, match="`prove` failed"):
        way.prover.prove(circuit, folder, witness, tmp_path / "proof", "segment 0")


def test_a_manifest_of_somebody_else_is_not_pinned_by_extending_it(tmp_path: Path) -> None:
    """Whoever hands over `slices/` could otherwise have a model of his own pinned here."""
    way = Way(
        tmp_path, exact_model(tmp_path / "model.onnx", 2), make_prover("recompute"), CircuitSettings(scale=8), stages=1
    )
    note_manifest(way.layout.slices, f"sha256:{'0' * 64}")
    way.prove(layers=1)
    assert noted_manifest(way.layout.slices) == f"sha256:{'0' * 64}"
    assert way.outcome() is Outcome.REJECTED


def test_pieces_that_would_give_other_values_are_refused(tmp_path: Path) -> None:
    """The second prover rounds at the boundary of a circuit, so a cut within rounds once more."""
    prover = make_prover("recompute")
    way = Way(tmp_path, skip_model(tmp_path / "model.onnx"), prover, CircuitSettings(scale=12), stages=1)
    with pytest.raises(RunError, match="its pieces give another `y` than it gave"):
        way.prove(layers=1)
    manifest = read_manifest(way.layout)
    assert manifest is not None
    assert manifest.digest == way.pin == noted_manifest(way.layout.slices), "nothing is extended by what failed"


@pytest.mark.slow
@pytest.mark.parametrize("integer", [False, True])
def test_workers_too_small_for_a_segment(tmp_path: Path, integer: bool) -> None:
    settings = CircuitSettings(scale=6, integer=True) if integer else TINY
    prover = make_prover("ezkl", insecure=True)
    way = Way(tmp_path, skip_model(tmp_path / "model.onnx"), prover, settings, stages=1)
    result = way.prove(layers=1)
    assert way.said() == ["divided", "divided"], "before anything is tried"
    found = verify_sliced_run(way.layout, way.run, prover)
    assert (found.verdict.outcome, found.edges) == (Outcome.ACCEPTED, 3)
    assert [(one.segment, *one.piece) for one in found.segments] == [(0, 0), (0, 1, 0), (0, 1, 1)]
    assert way.outcome(way.pin) is Outcome.INCONCLUSIVE
    witness = (place_folder(way.run, (0, 1, 0)) / "witness.json").stat().st_mtime_ns
    assert way.prove(layers=1).incidents == result.incidents, "an earlier call's pieces are taken as they are"
    assert (place_folder(way.run, (0, 1, 0)) / "witness.json").stat().st_mtime_ns == witness


@pytest.mark.slow
def test_memory_that_a_segment_is_predicted_to_take(tmp_path: Path) -> None:
    prover = make_prover("ezkl", insecure=True)
    way = Way(tmp_path, skip_model(tmp_path / "model.onnx"), prover, TINY, stages=1)
    with pytest.raises(RunError, match=r"segment 0\S*: needs \d+ bytes, has 1000"):
        way.prove(bytes=1000)
    assert "divided" in way.said()
    way.incidents.clear()
    way.prove(bytes=1 << 40)
    assert way.outcome() is Outcome.ACCEPTED


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    """SIGSTOP: it lives, says nothing, and proves nothing."""
    way = Way(tmp_path, skip_model(tmp_path / "model.onnx"), make_prover("ezkl", insecure=True), TINY)
    stopped = list[int]()

    def stop() -> None:
        for _ in range(100):
            if stopped.extend(proving_workers(os.getpid())[:1]) or stopped:
                os.kill(stopped[0], signal.SIGSTOP)
                return
            threading.Event().wait(0.05)

    thread = threading.Thread(target=stop)
    thread.start()
    way.prove(policy=replace(QUICK, heartbeat_s=2))
    thread.join()
    assert stopped
    assert way.said()[0] == "silent"
    assert way.outcome() is Outcome.ACCEPTED


@pytest.mark.slow
def test_a_proof_past_its_deadline_goes_elsewhere(tmp_path: Path) -> None:
    """The program sleeps the first time it is asked: its worker is ended, and another one is asked."""
    script = f"mkdir {tmp_path / 'once'} 2>/dev/null && sleep 60; exec " + '"$0" "$@"'
    prover = Picky(tmp_path, "sh", "-c", script)
    way = Way(tmp_path, exact_model(tmp_path / "model.onnx", 1), prover, CircuitSettings(scale=8))
    way.prove(policy=replace(QUICK, first_deadline_s=4))
    assert way.said() == ["overdue"]
    assert "more than 4 s" in way.incidents[0].why
    assert way.outcome(way.pin) is Outcome.ACCEPTED


def command(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "partwise.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)


def call(folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    process = command(folder, *words)
    out, err = process.communicate(timeout=280)
    assert process.returncode == code, (out.decode(), err.decode())
    assert b"Traceback" not in err
    return out.decode(), err.decode()


@pytest.mark.slow
def test_by_the_command_with_a_new_pin_and_on_another_machine(tmp_path: Path) -> None:
    skip_model(tmp_path / "model.onnx")
    request_file(tmp_path / "input.json")
    call(tmp_path, "slice", "model.onnx", "--segments", "1")
    old = json.loads(
        call(tmp_path, "compile", "--scale", "5", "--base", "64", "--legs", "4", "--insecure-srs", "--json")[0]
    )
    call(tmp_path, "run", "slices/", "--input", "input.json")
    out, err = call(tmp_path, "prove", "--workers", "2", "--max-layers", "1", "-o", "proofs.zip", "--insecure-srs")
    new = str(noted_manifest(tmp_path / "slices"))
    assert new in out
    assert "proving: divided (segment 0)" in err
    assert max(map(len, out.splitlines())) <= 100
    assert "0.1.1" in call(tmp_path, "verify")[0]
    other = tmp_path / "other"
    other.mkdir()
    for name in ("proofs.zip", "input.json", "run/run_1/output.json"):
        shutil.copy(tmp_path / name, other)
    shutil.rmtree(tmp_path / "state")
    ends = ("--input", "input.json", "--claim", "output.json")
    assert "ACCEPTED" in call(other, "verify", "proofs.zip", "--manifest", new, *ends)[0]
    judged = call(other, "verify", "proofs.zip", "--manifest", old["manifest"], *ends, code=1)[0]
    assert "INCONCLUSIVE" in judged
    assert call(tmp_path, "prove", "--memory", "1GB", code=2)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_command(tmp_path: Path, how: signal.Signals) -> None:
    """Neither workers nor their prover's calls, which are processes of their own; and the next call goes on."""
    exact_model(tmp_path / "model.onnx", 3)
    request_file(tmp_path / "input.json")
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", "--workers", "2")
    process = command(tmp_path, *words)
    started = list[int]()
    while not started and process.poll() is None:
        workers = proving_workers(process.pid)
        calls = [pid for worker in workers for pid in proving_workers(worker, b"ezkl_child")]
        started = [*workers, *calls] if calls else []
    process.send_signal(how)
    process.communicate()
    assert started
    for pid in started:
        wait_for_end(pid)
    assert "ACCEPTED" in call(tmp_path, *words)[0]
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_workers_killed_during_a_full_run(tmp_path: Path) -> None:
    exact_model(tmp_path / "model.onnx", 10)
    request_file(tmp_path / "input.json")
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", "--json")
    process = command(tmp_path, *words, "--scale", "5", "--base", "64", "--legs", "4", "--workers", "2")
    with killing(process.pid, 20) as killer:
        out, err = process.communicate(timeout=500)
    assert process.returncode == 0, (out.decode(), err.decode())
    found = json.loads(out)
    assert (found["verdict"]["outcome"], found["proved_segments"]) == ("accepted", 10)
    assert len(killer.killed) == 20
    assert sum(one["what"] == "lost" for one in found["incidents"]) == 20
    assert not any(one["what"] == "divided" for one in found["incidents"]), "under the pin that compile printed"
    run = tmp_path / "run" / "run_1"
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]
