"""Runs: their records, folders and traces."""

from __future__ import annotations

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from partwise.errors import InputError, InterfaceMismatchError
from partwise.packaging import Package
from partwise.packaging.arrays import tensor_digest
from partwise.runtime import Run, default_threads, is_run, load_run, run_package
from tests.packages import example, small_package


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return small_package(tmp_path / "package", "null")


def test_a_run_leaves_a_folder_beside_the_package(package: Package) -> None:
    run = run_package(package, example())
    assert run.path == package.path.parent / "run" / "run_1"
    assert is_run(run.path)
    assert sorted(path.name for path in run.path.iterdir()) == ["inputs.npz", "outputs.npz", "run_result.json"]
    with np.load(run.path / "outputs.npz") as saved:
        assert saved["y"].tobytes() == run.outputs["y"].tobytes()


def test_the_record_says_what_ran(package: Package) -> None:
    run = run_package(str(package.path), example(), threads=1)
    record = run.record
    assert record.package == package.digest
    assert [engine.threads for engine in record.engines] == [1, 1, 1]
    assert record.requests[0].sizes == {"batch": 2}
    assert record.requests[0].inputs == {name: tensor_digest(value) for name, value in example().items()}
    assert record.requests[0].outputs == {"y": tensor_digest(run.outputs["y"])}


def test_equal_runs_have_equal_records(package: Package) -> None:
    first, second = run_package(package), run_package(package)
    assert (first.path, second.path) == (package.path.parent / "run/run_1", package.path.parent / "run/run_2")
    for name in ("run_result.json", "inputs.npz", "outputs.npz"):
        assert _file(first, name) == _file(second, name)
    assert json.loads(_file(first, "run_result.json"))["origin"] == {"kind": "random", "path": None, "seed": 0}


def test_a_saved_run_comes_back(package: Package) -> None:
    run = run_package(package, example())
    found = load_run(str(run.path))
    assert found.record == run.record
    assert found.outputs["y"].tobytes() == run.outputs["y"].tobytes()
    assert {name: value.tolist() for name, value in found.requests[0].inputs.items()} == {
        name: value.tolist() for name, value in example().items()
    }


def test_an_inputs_layout_comes_back(package: Package) -> None:
    given = example() | {"x": np.asfortranarray(example()["x"])}
    found = load_run(run_package(package, given).path or "").requests[0].inputs["x"]
    assert found.flags.f_contiguous
    assert found.tolist() == given["x"].tolist()


def test_a_stream_keeps_its_requests_apart(package: Package) -> None:
    run = run_package(package, [example(1), example(2), example(3)])
    assert [request.outputs["y"].shape[0] for request in run.requests] == [1, 2, 3]
    assert [request.record.name for request in run.requests] == ["0", "1", "2"]
    with pytest.raises(InputError, match="holds 3 requests"):
        _ = run.outputs
    assert sorted(np.load(run.path / "outputs.npz")) == ["0/y", "1/y", "2/y"] if run.path else False


def test_a_folder_of_one_is_a_stream_of_one(package: Package, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in/a.npz", **example())
    run = run_package(package, tmp_path / "in")
    assert run.record.stream
    assert run.outputs["y"].shape == (2, 3)


def test_the_request_of_a_stream_that_does_not_fit_is_named(package: Package, tmp_path: Path) -> None:
    for name, dtype in (("a.npz", np.float32), ("b.npz", np.float64)):
        np.savez(tmp_path / name, **(example(2) | {"x": example(2)["x"].astype(dtype)}))
    with pytest.raises(InterfaceMismatchError, match=r"request b\.npz, input `x`: has another dtype; expected float32"):
        run_package(package, tmp_path, save=False)


def test_runs_at_once_take_different_folders(package: Package) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda seed: run_package(package, seed=seed), range(16)))
    assert {run.path.name for run in runs if run.path} == {f"run_{n}" for n in range(1, 17)}
    assert all(load_run(run.path or "").record == run.record for run in runs)


def test_a_failed_run_leaves_nothing(package: Package) -> None:
    with pytest.raises(InputError):
        run_package(package, {"x": "nonsense"})
    with pytest.raises(Exception, match="shape"):
        run_package(package, [example(), example() | {"mask": np.zeros(9, bool)}])
    assert not (package.path.parent / "run").exists()


def test_what_killed_runs_have_left_is_removed_and_nothing_else(package: Package, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    names = [".run_00000000", ".run_0000000a", ".run_0000000b", ".run_mine", ".run_0000000c", "run_7"]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "inputs.npz").write_bytes(b"half")
    (folder / names[1] / "inputs.npz").unlink()  # killed before it began its first file
    os.mkfifo(folder / ".run_0000000a" / "outputs.npz")
    with (folder / names[2] / "inputs.npz").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as a run does that is under way
        for name in names[:4]:
            os.utime(folder / name, (0, 0))
        run_package(package, example(), run_dir=folder)
        assert sorted(path.name for path in folder.iterdir()) == sorted([*names[2:], "run_8"])


def test_not_saved(package: Package) -> None:
    run = run_package(package, [example()] * 2, save=False)
    assert run.path is None
    assert len(run.requests[1].outputs) == 1
    assert not (package.path.parent / "run").exists()


def test_another_run_folder_and_a_trace(package: Package, tmp_path: Path) -> None:
    run = run_package(package, run_dir=tmp_path / "elsewhere", trace=tmp_path / "trace.json", trace_nodes=True)
    assert run.path == tmp_path / "elsewhere/run_1"
    trace = json.loads((tmp_path / "trace.json").read_bytes())
    assert trace["version"] == "partwise.trace/1"
    assert trace["package"] == package.digest
    assert len(trace["segments"]) == 3
    assert trace["nodes"]


def test_a_run_folder_that_cannot_be_written(package: Package, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        run_package(package, run_dir=tmp_path / "file")


def test_another_engine_is_said(package: Package) -> None:
    small_package(package.path, "torch")
    run = run_package(package.path, engine="null")
    assert run.record.notes == ("run by null; the segments are exact for torch",)


@pytest.mark.parametrize("options", [{"threads": 0}, {"in_flight": 0}, {"executor": "cloud"}, {"engine": "abacus"}])
def test_options_are_checked(package: Package, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        run_package(package, **options)  # type: ignore[arg-type]


def test_default_threads_are_at_least_one() -> None:
    assert default_threads() >= 1


@pytest.mark.parametrize(
    ("name", "data"),
    [("run_result.json", b"{"), ("run_result.json", b"{}"), ("outputs.npz", b""), ("inputs.npz", None),
     ("run_result.json", b'{"version": 3}'), ("run_result.json", None)],
)  # fmt: skip
def test_a_broken_run_folder_is_an_error(package: Package, name: str, data: bytes | None) -> None:
    path = run_package(package, example()).path
    assert path is not None
    (path / name).unlink() if data is None else (path / name).write_bytes(data)
    with pytest.raises(InputError):
        load_run(path)


def _file(run: Run, name: str) -> bytes:
    assert run.path is not None
    return (run.path / name).read_bytes()
