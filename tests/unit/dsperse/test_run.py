"""Runs of slices without circuits: what JSON cannot keep, and what an input's type cannot hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import onnx_models
from command import exit_code

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
