"""`partwise plan --emit`: the text on stdout or in a file, what it costs on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import exit_code, saved
from graphs import chain
from unit.planning.emitting.decoders import decoder


@pytest.fixture
def graph(tmp_path: Path) -> str:
    """A saved graph of a decoder with five layers."""
    return str(saved(decoder(5), tmp_path / "graph.json"))


def test_the_text_alone_is_on_stdout(
    graph: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "plan", graph, "--stages", "2", "--emit", "vllm") == 0
    streams = capsys.readouterr()
    name, _, counts = streams.out.strip().partition("=")
    assert name == "VLLM_PP_LAYER_PARTITION"
    assert sum(int(count) for count in counts.strip('"').split(",")) == 5
    assert "as planned" in streams.err
    assert "--pipeline-parallel-size 2" in streams.err


def test_output_saves_the_text_and_not_the_plan(
    graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "map.json"
    assert exit_code(monkeypatch, "plan", graph, "--stages", "3", "--emit", "accelerate", "-o", str(target)) == 0
    assert capsys.readouterr().out == ""
    assert set(json.loads(target.read_text()).values()) == {0, 1, 2}


def test_json_is_the_record(graph: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "plan", graph, "--stages", "2", "--emit", "pipelining", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["loss"] == pytest.approx(record["reached"][0]["value"] / record["planned"][0]["value"] - 1)
    assert json.loads(record["text"]) == record["data"]["split_spec"]


def test_what_a_target_cannot_count_is_an_error_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = saved(chain([8] * 5), tmp_path / "graph.json"), tmp_path / "out.txt"
    assert exit_code(monkeypatch, "plan", str(path), "--stages", "2", "--emit", "llama.cpp", "-o", str(target)) == 3
    assert "expected one list of layers, got none" in capsys.readouterr().err
    assert not target.exists()


def test_a_workload_has_no_modules_to_emit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(monkeypatch, "plan", "--workload", "x.json", "--emit", "vllm") == 2
