"""Runs of slices without circuits: what JSON cannot keep, and what an input's type cannot hold."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import onnx_models
from command import exit_code
from partwise.dsperse import parse_layers, refuse_stale, run_slices, slice_model
from partwise.errors import InputError
from partwise.verification.zk import make_prover

MODEL = """<ir_version: 8, opset_import: ["": 17]>
g (float[1, 2] x, int64[2] n) => (float[1, 2] y) {
  wide = Cast <to: int = 1> (n)
  sum = Add (x, wide)
  y = Log (sum)
}"""


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"x": [[1, 2]], "n": [0, 1]}, 0, ""),
        ({"x": [[1, 2]], "n": [0, -9]}, 6, "`y`: holds a value that is no finite number"),
        ({"x": [[1, 2]], "n": [0, -2]}, 6, "got -inf, 1 of 2 such values"),
        ({"x": [[1, 2]], "n": [0, 1.5]}, 6, "input `n`: 1.5 does not fit the input's type; expected int64"),
    ],
)
def test_what_is_kept_and_what_is_refused(
    given: dict[str, object],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx_models.save(onnx_models.parser.parse_model(MODEL), tmp_path / "m.onnx")
    (tmp_path / "input.json").write_text(json.dumps(given))
    assert exit_code(monkeypatch, "slice", tmp_path / "m.onnx", "--segments", 2) == 0
    assert exit_code(monkeypatch, "run", tmp_path / "slices", "--input", tmp_path / "input.json") == code
    assert said in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").glob("*")] == (["run_1"] if code == 0 else [])


def test_calls_at_the_same_time(tmp_path: Path) -> None:
    """Each keeps its own folder and takes a number of its own; none sweeps away what another is writing."""
    onnx_models.save(onnx_models.parser.parse_model(MODEL), tmp_path / "m.onnx")
    (tmp_path / "input.json").write_text(json.dumps({"x": [[1, 2]], "n": [0, 1]}))
    layout, _ = slice_model(tmp_path / "m.onnx", stages=2)
    prover = make_prover("recompute")
    with ThreadPoolExecutor(4) as calls:
        done = [calls.submit(run_slices, layout, prover, tmp_path / "input.json") for _ in range(12)]
    assert sorted(one.result().path.name for one in done) == sorted(f"run_{n}" for n in range(1, 13))
    assert len(list(layout.runs.iterdir())) == 12


def test_slices_of_a_model_that_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder's model was trained on; its old slices were proved, and accepted."""
    onnx_models.save(onnx_models.parser.parse_model(MODEL), tmp_path / "m.onnx")
    (tmp_path / "input.json").write_text(json.dumps({"x": [[1, 2]], "n": [0, 1]}))
    layout, _ = slice_model(tmp_path / "m.onnx", stages=2)
    refuse_stale(layout)
    onnx_models.save(onnx_models.parser.parse_model(MODEL.replace("Log", "Exp")), tmp_path / "m.onnx")
    asked = ("--input", tmp_path / "input.json", "--prover", "recompute")
    assert exit_code(monkeypatch, "full-run", tmp_path, *asked) == 3
    assert "is not the model that the slices beside it were cut from" in capsys.readouterr().err
    slice_model(tmp_path / "m.onnx", stages=2)
    refuse_stale(layout)


@pytest.mark.parametrize(
    ("text", "missing"), [("1,7", 7), ("0-9999999999", 3), ("2-5", 3), ("9" * 5000, "9" * 20), ("4-3", 4), ("0-3", 3)]
)
def test_segments_that_there_are_not(text: str, missing: object) -> None:
    """Named at once, however many were asked for."""
    with pytest.raises(InputError, match=f"there is no segment {missing};"):
        parse_layers(text, 3)


def test_segments_that_there_are() -> None:
    assert parse_layers(" 0,1-2 ,002", 3) == (0, 1, 2)
    assert parse_layers(None, 2) == (0, 1)
    for text in ("", "a", "1-", "-1", "1--2", "1;2"):
        with pytest.raises(InputError, match="is no list of segments"):
            parse_layers(text, 3)
