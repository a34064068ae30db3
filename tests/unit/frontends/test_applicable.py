"""Sizes that a model does not have are refused, in every verb; the sizes that it has are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnx_models
import tiny_models
from command import exit_code
from partwise import api
from partwise.errors import InputError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_models.save(onnx_models.conv_net(), tmp_path / "conv.onnx")


def test_a_size_that_the_model_lacks_is_refused(model: Path) -> None:
    with pytest.raises(InputError, match="--sequence: is no size that"):
        api.capture(model, sequence=5)
    with pytest.raises(InputError, match="--batch: is no size that"):
        api.capture("tiny_models:mlp_with_inputs", batch=7, static=True)


def test_a_size_that_it_has_is_taken(model: Path) -> None:
    assert api.capture(model, batch=3, image_size=64).hints == {"batch": 3, "H": 64, "W": 64}
    assert api.capture(model, batch=3, image_size=64, static=True).hints == {}
    assert api.capture("tiny_models:mlp_with_inputs", batch=2, static=True).hints == {}


def test_a_size_that_a_model_of_transformers_has_no_use_for_changes_nothing(tmp_path: Path) -> None:
    folder = tiny_models.write_config(tmp_path / "bert", tiny_models.BERT)
    assert api.capture(folder, image_size=64, static=True) == api.capture(folder, static=True)
    assert dict(api.capture(folder, sequence=5, static=True).settings)["sequence"] == 5


@pytest.mark.parametrize("option", [("--dtype", "float16"), ("--config", "bert"), ("--module", "a:b"), ("--task", "X")])
@pytest.mark.parametrize("verb", ["capture", "profile", "plan", "full-run"])
def test_every_verb_refuses_what_does_not_apply(
    verb: str, option: tuple[str, str], model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    assert exit_code(monkeypatch, verb, model, *option) == 3
    assert f"is an ONNX file, to which {option[0]} does not apply; got {option[1]}" in capsys.readouterr().err
    assert list(model.parent.iterdir()) == [model]


def test_cut_and_verify_refuse_it_too(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model.parent
    assert exit_code(monkeypatch, "plan", model, "--stages", 2, "-o", folder / "plan.json") == 0
    assert exit_code(monkeypatch, "cut", model, folder / "plan.json", "-o", folder / "p", "--config", "bert") == 3
    assert not (folder / "p").exists()
    assert exit_code(monkeypatch, "cut", model, folder / "plan.json", "-o", folder / "p", "--no-check") == 0
    assert exit_code(monkeypatch, "verify", folder / "p", "--against", model, "--module", "a:b") == 3
    assert capsys.readouterr().err.count("does not apply") == 2
