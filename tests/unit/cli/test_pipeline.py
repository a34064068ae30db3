"""`plan --microbatches` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from command import said, saved
from graphs import chain
from partwise.cli.plan import plan


@pytest.fixture
def graph(tmp_path: Path) -> str:
    return str(saved(chain([64] * 5), tmp_path / "graph.json"))


@pytest.mark.parametrize("kind", ["gpipe", "one-in-flight", "1f1b"])
def test_the_grid_is_shown_within_100_columns(graph: str, kind: str) -> None:
    text = said(plan, graph, "--stages", "3", "--microbatches", "4", "--schedule", kind)
    assert f"{kind}, 4 microbatches:" in text
    assert "stage 2 | " in text
    assert max(map(len, text.splitlines())) <= 100
    assert ("2 × forward" in text) == (kind == "1f1b")


def test_a_grid_too_wide_is_left_out(graph: str) -> None:
    assert "stage 2 | " not in said(plan, graph, "--stages", "3", "--microbatches", "60")


def test_json_has_the_prediction_beside_the_plan(graph: str) -> None:
    done = CliRunner().invoke(
        plan, [graph, "--stages", "3", "--objective", "throughput", "--microbatches", "4", "--json"]
    )
    found = json.loads(done.stdout)
    pipeline = found["pipeline"]
    assert pipeline["period_s"] == pytest.approx(found["value"])
    assert pipeline["makespan_s"] == pytest.approx(pipeline["latency_s"] + 3 * pipeline["period_s"])


def test_options_that_say_nothing_are_refused(graph: str) -> None:
    assert "--microbatches N" in said(plan, graph, "--stages", "2", "--schedule", "gpipe", code=2)
    assert "--emit" in said(plan, graph, "--stages", "2", "--microbatches", "2", "--emit", "vllm", code=2)
