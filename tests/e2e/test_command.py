"""The command as a user types it, from a model to a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SQUEEZENET = LIGHT / "light_squeezenet.onnx"


def partwise(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished command."""
    program = [sys.executable, "-m", "partwise.cli", *map(str, words)]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=200, check=False)


def ok(*words: object, cwd: Path) -> str:
    """What the command prints, when it ends with 0."""
    done = partwise(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """graph.json, plan.json, package/ of a real model."""
    path = tmp_path_factory.mktemp("command")
    ok("capture", SQUEEZENET, "-o", "graph.json", cwd=path)
    ok("plan", "graph.json", "--stages", 3, "-o", "plan.json", cwd=path)
    ok("cut", SQUEEZENET, "plan.json", "-o", "package", cwd=path)
    return path


def test_the_pipeline_verb_by_verb(folder: Path) -> None:
    record = json.loads(ok("run", "package", "-o", "out.npz", "--json", cwd=folder))
    assert record["origin"]["kind"] == "random"
    with np.load(folder / "out.npz") as outputs:
        assert list(outputs) == ["softmaxout_1"]
    text = ok("verify", "package", "--against", SQUEEZENET, cwd=folder)
    assert "ACCEPTED" in text
    assert "bit for bit" in text
    assert "ACCEPTED" in ok("verify", "run/run_1", "--against", SQUEEZENET, cwd=folder)


def test_the_same_commands_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    ok("capture", SQUEEZENET, "-o", "graph.json", cwd=tmp_path)
    ok("plan", "graph.json", "--stages", 3, "-o", "plan.json", cwd=tmp_path)
    ok("cut", SQUEEZENET, "plan.json", "-o", "package", cwd=tmp_path)
    for name in ("graph.json", "plan.json", "package/manifest.json"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_cutting_again_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "package").rglob("*")}
    assert "unchanged" in ok("cut", SQUEEZENET, "plan.json", "-o", "package", cwd=folder)
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "package").rglob("*")}


def test_a_changed_output_is_rejected_with_exit_1(folder: Path) -> None:
    ok("run", "package", "--run-dir", "forged", cwd=folder)
    path = folder / "forged" / "run_1" / "outputs.npz"
    with np.load(path) as outputs:
        values = dict(outputs)
    values["softmaxout_1"] = values["softmaxout_1"] + 1
    np.savez(path, **values)
    done = partwise("verify", "forged/run_1", "--package", "package", "--against", SQUEEZENET, cwd=folder)
    assert (done.returncode, "REJECTED" in done.stdout) == (1, True)


def test_json_of_a_plan_has_the_documented_keys(folder: Path) -> None:
    plan = json.loads(ok("plan", "graph.json", "--stages", 2, "--json", cwd=folder))
    assert {"levels", "value", "bound", "gap", "stages", "cuts"} <= plan.keys()
    keys = {"nodes", "parameters", "weight_bytes", "peak_bytes", "flops", "inputs", "outputs"}
    assert all(keys <= stage.keys() for stage in plan["stages"])
    assert all("bytes" in cut for cut in plan["cuts"])


def test_tables_fit_100_columns(folder: Path) -> None:
    for words in (("capture", "graph.json"), ("profile", "graph.json"), ("plan", "graph.json", "--stages", 3)):
        assert max(map(len, ok(*words, cwd=folder).splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("cut", LIGHT / "light_shufflenet.onnx", "plan.json", "-o", "other"), 4, "another graph"),
        (("plan", "graph.json", "--memory", "1KB"), 4, "Hint"),
        (("run", "package", "--input", "missing.npz"), 3, "missing.npz"),
        (("run", "nothing"), 5, "manifest.json"),
        (("verify", "."), 7, "neither"),
    ],
)
def test_a_mistake_is_said_and_leaves_nothing(folder: Path, words: tuple[object, ...], code: int, said: str) -> None:
    before = sorted(folder.rglob("*"))
    done = partwise(*words, cwd=folder)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before
