"""The six functions where they meet what does not belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import partwise  # noqa: E402
from partwise.errors import InputError, StalePlanError, VerifyError  # noqa: E402
from tests.tiny_models import BERT, LLAMA, save_bert, write_config  # noqa: E402


class Activated(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.function, self.a, self.b = function, torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.b(self.function(self.a(x)))


def planned(module: Any) -> Any:
    return partwise.plan(partwise.capture(module, (torch.randn(2, 8),)), stages=2)


def test_another_model_with_the_same_weights_is_not_cut(tmp_path: Path) -> None:
    plan = planned(Activated(torch.relu).eval())
    with pytest.raises(VerifyError, match="is not the model's own"):
        partwise.cut(Activated(torch.tanh).eval(), plan, tmp_path / "package")
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_captured_like_the_plans_is_another_one(tmp_path: Path) -> None:
    other = write_config(tmp_path / "llama", LLAMA)
    plan = partwise.plan(partwise.capture(str(write_config(tmp_path / "bert", BERT))), stages=2)
    with pytest.raises(StalePlanError, match="another model than"):
        partwise.cut(str(other), plan, tmp_path / "package")


def test_verifying_against_another_kind_of_model_is_inconclusive(tmp_path: Path) -> None:
    save_bert(tmp_path / "bert")
    plan = partwise.plan(partwise.capture(str(tmp_path / "bert")), stages=2)
    package = partwise.cut(str(tmp_path / "bert"), plan, tmp_path / "package", check=False)
    verdict = partwise.verify(package, against=str(write_config(tmp_path / "llama", LLAMA)))
    assert verdict.outcome == "inconclusive"
    assert "another model" in verdict.reason


def test_a_saved_run_is_run_again(tmp_path: Path) -> None:
    module = Activated(torch.relu).eval()
    package = partwise.cut(module, planned(module), tmp_path / "package", check=False)
    values = {"x": np.ones((3, 8), np.float32)}
    alone, stream = partwise.run(package, values), partwise.run(package, [values, values])
    for first in (alone, stream):
        assert first.path is not None
        again = partwise.run(first.path)
        assert again.record.requests == first.record.requests
        assert again.record.stream == first.record.stream
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "manifest.json").write_text("a broken package beside it is no matter")
    assert partwise.run(alone.path).record.requests == alone.record.requests
    (tmp_path / "package").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "manifest.json").write_text("{}")
    (tmp_path / "elsewhere").rename(tmp_path.parent / f"{tmp_path.name}-gone")
    with pytest.raises(InputError, match="does not lie beside it"):
        partwise.run(alone.path)
