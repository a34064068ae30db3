"""What a graph asks of a prover, counted from its nodes and compared with the circuit that is drawn from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import partwise
from circuit_models import convolution, feed_forward, linear, multilayer
from partwise.profiling import choose_settings, graph_work, node_proof_seconds, part_work, proof_cost
from partwise.profiling.proof import ProofStep, count_cells
from partwise.verification.zk.circuits import lower


def captured(folder: Path, model: bytes) -> partwise.Graph:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return partwise.capture(path, optimize="off")


@pytest.mark.parametrize("model", [linear(), multilayer()], ids=["linear", "two layers"])
def test_a_model_and_its_circuit_have_the_same_cells(tmp_path: Path, model: bytes) -> None:
    planned = count_cells(graph_work(captured(tmp_path, model)), 2, 3)
    drawn = count_cells(graph_work(captured(tmp_path, lower(model).model)), 2, 3)
    assert planned == drawn


def test_a_convolution_and_its_circuit_are_near(tmp_path: Path) -> None:
    """The circuit adds the bias after the maximum, on a quarter of the elements."""
    model = convolution()
    planned = sum(count_cells(graph_work(captured(tmp_path, model)), 2, 3))
    drawn = sum(count_cells(graph_work(captured(tmp_path, lower(model).model)), 2, 3))
    assert planned == drawn + 4 * 6 * 6 * 3 // 4


def test_scaled_circuits_rebase_every_product(tmp_path: Path) -> None:
    graph = captured(tmp_path, linear())
    steps = [work.step for work in graph_work(graph, integer=False)]
    assert steps.count(ProofStep.REBASE) == 1
    assert ProofStep.REBASE not in [work.step for work in graph_work(graph)]


def test_a_part_pays_for_its_boundary(tmp_path: Path) -> None:
    graph = captured(tmp_path, multilayer())
    first = part_work(graph, [0, 1], graph.inputs, graph.nodes[1].outputs)
    second = part_work(graph, [2, 3], graph.nodes[1].outputs, [graph.outputs[0].tensor])
    apart = count_cells(first, 2, 3)[0] + count_cells(second, 2, 3)[0]
    assert apart - count_cells(graph_work(graph), 2, 3)[0] == 8 * (14 + 29)


def test_seconds_of_nodes_that_only_move_values_are_none(tmp_path: Path) -> None:
    graph = captured(tmp_path, lower(convolution()).model)
    seconds = node_proof_seconds(graph, graph.hints)
    moved = [s for s, node in zip(seconds, graph.nodes, strict=True) if node.op in ("onnx.Gather", "onnx.Reshape")]
    assert moved
    assert set(moved) == {0.0}
    assert sum(seconds) > 0


def test_a_feed_forward_block_and_its_circuit_are_near(tmp_path: Path) -> None:
    model = feed_forward(48, 96)
    planned = sum(count_cells(graph_work(captured(tmp_path, model)), 2, 3))
    drawn = sum(count_cells(graph_work(captured(tmp_path, lower(model).model)), 2, 3))
    assert planned == pytest.approx(drawn, rel=0.05)


def test_a_table_has_rows_and_columns_of_its_own(tmp_path: Path) -> None:
    work = graph_work(captured(tmp_path, lower(feed_forward()).model))
    assert [(each.count, each.depth) for each in work if each.step is ProofStep.LOOKUP] == [(16, 1000), (1, 1023)]
    choice = choose_settings(work, 20)
    assert choice.settings.rows >= 2023, "the rows of both tables"
    plain = [each for each in work if each.step is not ProofStep.LOOKUP]
    assert proof_cost(plain, choice.settings).peak_bytes < choice.cost.peak_bytes
