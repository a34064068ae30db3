"""`package.module:function`: what it may return, and what each failure says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from partwise import capture, cut, plan, verify
from partwise.errors import ModelError
from partwise.frontends.function import build
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions, as_captured
from tiny_models import save_bert


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package.models:build", "module `no_such_package` is not found"),
        ("tiny_models:nothing", "has no function `nothing`"),
        ("tiny_models:not_a_module", "returned something else; expected an nn.Module"),
        ("tiny_models:save_bert", "failed: TypeError"),
        ("sys:exit", "failed: SystemExit"),
    ],
)
def test_failures_say_which_part(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name)


def test_the_working_directory_is_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here_alone.py").write_text("import torch\ndef net():\n    return torch.nn.Linear(2, 3).eval()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    module, inputs = build("here_alone:net")
    assert type(module).__name__ == "Linear"
    assert inputs is None


def test_what_a_model_prints_is_no_part_of_our_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "talkative.py").write_text(
        "import torch\nprint('imported')\n"
        "class Net(torch.nn.Linear):\n    def forward(self, x):\n        print('called')\n"
        "        return super().forward(x)\n"
        "def net():\n    print('built')\n    return Net(2, 3).eval(), (torch.zeros(2, 2),)\n"
    )
    monkeypatch.chdir(tmp_path)
    source = open_model("talkative:net")
    graph = source.capture()
    source.answers(graph, [{"x": np.zeros((2, 2), np.float32)}])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert {"imported", "built", "called"} <= set(printed.err.split())


def test_a_module_that_fails_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_here.py").write_text("raise RuntimeError('no')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ModelError, match="importing `broken_here` failed: RuntimeError: no"):
        build("broken_here:net")


def test_its_example_inputs_are_used_and_can_be_overruled() -> None:
    import torch

    assert open_model("tiny_models:mlp_with_inputs").capture().hints == {"batch": 2}
    options = CaptureOptions(example_inputs=(torch.zeros(5, 4),))
    assert open_model("tiny_models:mlp_with_inputs", options).capture().hints == {"batch": 5}
    with pytest.raises(ModelError, match="needs example inputs"):
        open_model("tiny_models:mlp").capture()


def test_a_module_of_transformers_gets_inputs_of_the_sizes_asked_for(tmp_path: Path) -> None:
    module = save_bert(tmp_path)
    options = CaptureOptions(batch=3, sequence=7, static=True)
    graph = open_model(module, options).capture()
    assert graph.spec["input_ids"].shape == (3, 7)
    assert open_model(module, as_captured(graph)).capture() == graph
    assert len(open_model(module).weights(graph)) == len(graph.weights)


def test_a_module_of_transformers_that_no_rule_has_inputs_for_is_cut_all_the_same(tmp_path: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.DecisionTransformerConfig(
        state_dim=5, act_dim=3, hidden_size=16, n_layer=1, n_head=2, max_ep_len=9
    )
    module, steps = transformers.DecisionTransformerModel(config).eval(), (2, 4)
    inputs = {name: torch.randn(*steps, size) for name, size in (("states", 5), ("actions", 3), ("returns_to_go", 1))}
    inputs |= {"timesteps": torch.zeros(steps, dtype=torch.int64), "attention_mask": torch.ones(steps)}
    graph = capture(module, inputs, static=True)
    package = cut(module, plan(graph, stages=2), tmp_path / "package")
    assert verify(package, against=module).outcome == "accepted"
