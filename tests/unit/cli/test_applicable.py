"""Options that do not apply to what a verb was given: refused by name, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.packages import small_package

import onnx_models
from command import exit_code

SLICED = """<ir_version: 8, opset_import: ["": 17]>
g (float[1, 2] x) => (float[1, 2] y) {
  s = Relu (x)
  y = Neg (s)
}"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package, slices/ with what was made of them, and a file that is a zip."""
    folder = tmp_path_factory.mktemp("places")
    package = small_package(folder / "package", "null").path
    (folder / "m").mkdir()
    model = onnx_models.save(onnx_models.parser.parse_model(SLICED), folder / "m" / "m.onnx")
    (folder / "proofs.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    return {"PACKAGE": package, "SLICES": folder / "m" / "slices", "ZIP": folder / "proofs.zip", "MODEL": model}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "PACKAGE", "--layers", "0"), "--layers is for slices/, and this is a package."),
        (("run", "PACKAGE", "--prover", "ezkl"), "--prover is for slices/"),
        (("run", "PACKAGE", "--address", "a:1"), "--address is of a cluster: --executor ray."),
        (("run", "PACKAGE", "--trace-format", "perfetto"), "--trace-format is of --trace"),
        (("run", "SLICES", "--engine", "torch"), "--engine is for packages, and this is slices/."),
        (("run", "SLICES", "-o", "x.npz"), "--output is for packages"),
        (("verify", "PACKAGE", "--config", "c"), "--config is of a model: --against MODEL."),
        (("verify", "PACKAGE", "--manifest", "sha256:0"), "--manifest is for proofs, and this is none."),
        (("verify", "ZIP", "--against", "m.onnx"), "--against is for packages and their runs"),
        (("verify", "SLICES", "--threads", "1"), "--threads is for packages and their runs"),
        (("full-run", "MODEL", "--scale", "7"), "--scale is for --proof."),
        (("full-run", "MODEL", "--proof", "--cluster", "c.toml"), "--cluster is not for --proof"),
        (("full-run", "MODEL", "--proof", "--executor", "in-process"), "--executor is not for --proof"),
        (("bench", "--suite", "laptop", "--threads", "1"), "--threads is not for --suite."),
        (("devices", "a100", "--here"), "NAME is of the catalog, and --here of this machine."),
        (("devices", "a100", "--links"), "NAME is of devices"),
        (("plan", "--workload", "w.json", "--stages", "3"), "--stages is for a model, and a --workload is none."),
        (("worker", "--join", "a:1", "--temp-dir", "t"), "--temp-dir is of a new cluster: --head."),
    ],
)
def test_what_does_not_apply_is_refused(
    words: tuple[str, ...],
    said: str,
    places: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "SLICES" in words and not places["SLICES"].is_dir():
        assert exit_code(monkeypatch, "slice", places["MODEL"], "--segments", 2) == 0
    assert exit_code(monkeypatch, *(places.get(word, word) for word in words)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "MODEL", "--cluster", "missing.toml"), "missing.toml: cannot be read"),
        (("plan", "MODEL", "--constraints", "missing.toml"), "missing.toml: cannot be read"),
        (("full-run", "MODEL", "--cluster", "missing.toml"), "missing.toml: cannot be read"),
        (("plan", "MODEL", "-o", "PACKAGE"), "package: is a folder; expected the name of a file"),
        (("capture", "MODEL", "-o", "MODEL"), "is what is read here, and would be lost"),
        (("plan", "MODEL", "--stages", "1", "-o", "MODEL"), "is what is read here, and would be lost"),
        (("run", "PACKAGE", "--trace", "PACKAGE"), "package: is a folder"),
        (("run", "PACKAGE", "-o", "PACKAGE"), "package: is a folder"),
        (("profile", "MODEL", "--hardware", "a100", "--check", "missing.json"), "missing.json: cannot be read"),
    ],
)
def test_files_that_cannot_be_used_are_found_before_the_work(
    words: tuple[str, ...],
    said: str,
    places: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(monkeypatch, *(places.get(word, word) for word in words)) == 3
    errors = capsys.readouterr().err
    assert said in errors
    assert not any(line.startswith(("captured", "run:")) or " captured:" in line for line in errors.splitlines())
    assert not list(tmp_path.iterdir())
