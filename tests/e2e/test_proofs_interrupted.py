"""Full disks and kills while keys and proofs are written: an error, nothing half-written, and the next call goes on."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from zk_machine import Machine
from zk_models import request_file, skip_model

pytest.importorskip("ezkl")

TINY = ("--scale", "5", "--base", "64", "--legs", "4", "--insecure-srs")


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A sliced model with its circuits, and one run; made once and copied."""
    machine = Machine(tmp_path_factory.mktemp("sliced"))
    skip_model(machine.folder / "model.onnx")
    request_file(machine.folder / "input.json")
    machine.call("slice", "model.onnx")
    machine.call("compile", *TINY)
    return machine


@pytest.fixture
def machine(sliced: Machine, tmp_path: Path) -> Machine:
    """A sliced model without circuits; SRS files are those of the other."""
    for name in ("model.onnx", "input.json"):
        shutil.copy(sliced.folder / name, tmp_path)
    made = Machine(tmp_path, sliced.folder / "cache")
    made.call("slice", "model.onnx")
    return made


def half_written(machine: Machine) -> list[Path]:
    """Files and folders of passage."""
    return [path for path in machine.folder.rglob(".*") if "cache" not in path.parts and path.name != ".."]


def kill_when(machine: Machine, words: tuple[str, ...], is_time: Callable[[], bool]) -> None:
    """kill -9 of a verb in the moment that something has happened."""
    process, end = machine.start(*words), time.monotonic() + 120
    while not is_time():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    provers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not psutil.wait_procs(provers, timeout=10)[1], "a prover goes on after its caller is gone"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["pk.key", "vk.key", "model.compiled", "settings.json"])
def test_a_disk_that_fills_with_the_last_byte_of_a_key(which: str, sliced: Machine, machine: Machine) -> None:
    """Each file in turn is one byte too large; no circuit of it is kept, and the next call makes it."""
    size = (sliced.folder / "slices" / "segment_0" / "ezkl" / which).stat().st_size
    said = machine.call("compile", *TINY, "--layers", "0", most_bytes=size - 1, code=7)
    assert "segment 0" in said
    assert not list((machine.folder / "slices").rglob("ezkl"))
    assert not half_written(machine)
    found = machine.data("compile", *TINY, "--layers", "0")
    assert [one["reused"] for one in found["segments"]] == [False]  # pyright: ignore[reportGeneralTypeIssues]


def test_a_disk_that_fills_while_keys_are_written(tmp_path: Path) -> None:
    skip_model(tmp_path / "model.onnx")
    machine = Machine(tmp_path)
    machine.call("slice", "model.onnx")
    said = machine.call("compile", *TINY, "--layers", "0", most_bytes=20_000, code=7)
    assert "File too large" in said
    assert not list((machine.folder / "slices").rglob("ezkl"))
    assert not half_written(machine)


@pytest.mark.slow
def test_a_kill_within_compile_keeps_what_was_finished(machine: Machine) -> None:
    """Counted: the circuits that stood when it was killed are those that the next call does not make again."""
    done = machine.folder / "slices" / "segment_1" / "ezkl" / "circuit.json"
    kill_when(machine, ("compile", *TINY), done.is_file)
    found = machine.data("compile", *TINY)
    assert [one["reused"] for one in found["segments"]] == [True, True, False]  # pyright: ignore[reportGeneralTypeIssues]
    assert not half_written(machine)


def proofs_of(run: Path) -> dict[int, str]:
    """Digests of the proofs that the run's record knows."""
    record = json.loads((run / "run_result.json").read_bytes())
    found = [one["proof_execution"] for one in record["segments"]]
    return {number: one["proof"] for number, one in enumerate(found) if one}


@pytest.fixture
def ran(sliced: Machine) -> tuple[Machine, Path]:
    """A run without proofs yet."""
    found = sliced.data("run", "slices/", "--input", "input.json")
    return sliced, Path(str(found["path"]))


@pytest.mark.slow
def test_a_kill_within_prove_keeps_what_was_finished(ran: tuple[Machine, Path]) -> None:
    """Proofs are made with fresh randomness: one of the same digest was not made again."""
    machine, run = ran
    kill_when(machine, ("prove", str(run)), lambda: bool(proofs_of(run)))
    before = proofs_of(run)
    assert 1 <= len(before) < 3
    machine.call("prove", str(run))
    after = proofs_of(run)
    assert len(after) == 3
    assert before.items() <= after.items()
    assert "ACCEPTED" in machine.call("verify", str(run))
    assert not half_written(machine)


@pytest.mark.slow
def test_disks_that_fill_while_proofs_are_written(ran: tuple[Machine, Path]) -> None:
    """A file too large for: the prover's own proof; then the archive only, so that finished proofs are kept."""
    machine, run = ran
    said = machine.call("prove", str(run), most_bytes=4_000, code=7)
    assert "segment 0: `prove` failed" in said
    assert not proofs_of(run)
    assert not list(run.rglob("proof*"))
    machine.call("prove", str(run))
    proofs, archive = proofs_of(run), (run / "proofs.zip").stat().st_size
    (run / "proofs.zip").unlink()
    said = machine.call("prove", str(run), most_bytes=archive - 1, code=3)
    assert "proofs.zip: cannot be written (File too large)" in said
    assert not (run / "proofs.zip").exists()
    assert not half_written(machine)
    machine.call("prove", str(run))
    assert proofs_of(run) == proofs, "none was made again"
    assert "ACCEPTED" in machine.call("verify", str(run))


@pytest.mark.slow
@pytest.mark.parametrize("most_bytes", [10, 300, 1_000])
def test_a_disk_that_fills_while_it_runs_and_is_verified(most_bytes: int, sliced: Machine) -> None:
    before = sorted((sliced.folder / "run").iterdir())
    code = sliced.start("run", "slices/", "--input", "input.json", most_bytes=most_bytes)
    _, err = code.communicate()
    assert code.returncode in (3, 7), err
    assert b"Traceback" not in err
    assert sorted((sliced.folder / "run").iterdir()) == before
