"""`partwise plan` with constraints, weights, an explanation, a front: tables of 100 columns, JSON, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from command import exit_code, saved
from graphs import transformer


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(transformer(1, 32, 8, vocabulary=100), tmp_path_factory.mktemp("graph") / "graph.json")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code, found = exit_code(monkeypatch, "plan", *words), capsys.readouterr()
    return code, found.out, found.err


def test_explained(graph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = (graph, "--stages", 3, "--objective", "0.7*throughput+0.3*balance-memory", "--explain")
    code, out, _ = call(monkeypatch, capsys, *words)
    assert code == 0
    assert "Why each cut is there" in out
    assert "0.7 × throughput + 0.3 × balance-memory" in out
    assert max(map(len, out.splitlines())) <= 100
    _, out, _ = call(monkeypatch, capsys, *words, "--json")
    data = json.loads(out)
    assert len(data["explanation"]["stages"]) == len(data["stages"]) == 3
    assert [row["change"] for row in data["explanation"]["what_if"]][-1] == "links twice as fast"


def test_a_front(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (graph, "--stages", "2..3", "--pareto", "memory,time,traffic", "--plot", tmp_path / "front.svg")
    code, out, _ = call(monkeypatch, capsys, *words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "throughput over balance-memory" in out
    assert ElementTree.parse(tmp_path / "front.svg").getroot().tag.endswith("svg")
    _, out, _ = call(monkeypatch, capsys, *words, "--json")
    assert json.loads(out)["axes"] == ["balance-memory", "throughput", "traffic"]


def test_constraints_from_a_file(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('together = [["embedding_4", "linear_10"]]\n')
    code, out, _ = call(monkeypatch, capsys, graph, "--stages", 2, "--constraints", rules, "--json")
    assert code == 0
    assert json.loads(out)["constraints"]["together"] == [["embedding_4", "linear_10"]]
    rules.write_text('together = [["embeding_4", "linear_10"]]\n')
    code, _, err = call(monkeypatch, capsys, graph, "--stages", 2, "--constraints", rules)
    assert code == 3
    assert "embedding_4" in err
    assert "Traceback" not in err


def test_fused_nodes_take_less(
    graph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (graph, "--stages", 2, "--objective", "balance", "--json")
    alone, fused = (json.loads(call(monkeypatch, capsys, *words, "--fuse", rules)[1]) for rules in ("none", "optimal"))
    assert (alone["fusion"], fused["fusion"]) == ("none", "optimal")
    assert fused["value"] < alone["value"]
    assert fused["gap"] == 0
    words = (graph, "--stages", 2, "--pareto", "time,memory", "--json")
    alone, fused = (json.loads(call(monkeypatch, capsys, *words, "--fuse", rules)[1]) for rules in ("none", "optimal"))
    assert fused["points"][0]["values"][0] < alone["points"][0]["values"][0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--stages", "2..3"), 2),
        (("--stages", "3..2", "--pareto", "memory,time"), 2),
        (("--stages", "2", "--pareto", "memory,speed"), 2),
        (("--stages", "2", "--plot", "x.svg"), 2),
        (("--stages", "2", "--pareto", "memory,time", "--explain"), 2),
        (("--stages", "2", "--pareto", "memory,time", "--solver", "slices"), 2),
        (("--stages", "2", "--emit", "vllm", "--explain"), 2),
        (("--stages", "2", "--pareto", "memory,time", "--plot", "x.pdf"), 3),
        (("--stages", "2", "--pareto", "memory"), 3),
        (("--stages", "2", "--constraints", "missing.toml"), 3),
        (("--stages", "2", "--objective", "0*traffic"), 2),
        (("--stages", "2", "--non-contiguous"), 2),
        (("--stages", "2", "--batch", "auto", "--static"), 2),
        (("--stages", "2", "--batch", "auto"), 3),
        (("--stages", "2", "--batch", "many"), 2),
        (("--stages", "2", "--fuse", "all"), 2),
    ],
)
def test_mistakes(
    graph: Path,
    words: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, _, err = call(monkeypatch, capsys, graph, *words)
    assert found == code
    assert "Traceback" not in err
