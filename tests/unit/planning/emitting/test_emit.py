"""What each target is told, and what rounding a plan to it costs."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from graphs import chain
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import Cluster, equal_devices, find_device, find_link
from partwise.ir import Graph, contract
from partwise.planning import Emission, Limits, Objective, Plan, Target, Terms, emission_to_data, emit, plan
from partwise.planning.emitting import pipelining
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile
from unit.planning.emitting.decoders import cluster, decoder

FOUR = equal_devices(find_device("a100"), find_link("nvlink3"), 4)


def _plan(graph: Graph, known: Cluster = FOUR, limits: Limits | None = None, *objectives: Objective) -> Plan:
    limits = limits or Limits(stages=len(known.members))
    return plan(graph, profile(graph), limits, objectives or (Objective.THROUGHPUT,), Terms(cluster=known))


def _values(made: Plan, found: Emission) -> tuple[float, ...]:
    evaluator = Evaluator(contract(made.graph), RateTable(profile(made.graph), made.cluster))
    return evaluator.values(found.stages, found.devices, [level.objective for level in made.levels])


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_is_that_of_the_division_that_runs(target: Target, tied: bool) -> None:
    made = _plan(decoder(7, tied=tied))
    found = emit(made, target)
    assert sorted(node for stage in found.stages for node in stage) == list(contract(made.graph).placed)
    assert tuple(level.value for level in found.reached) == _values(made, found)
    assert found.loss == pytest.approx(found.reached[0].value / made.value - 1)
    assert emission_to_data(found)["loss"] == found.loss
    assert emit(made, target) == found


def test_a_plan_that_the_target_can_express_stays() -> None:
    made = _plan(decoder(7, vocabulary=2), limits=Limits(stages=2))
    fine, coarse = emit(made, Target.PIPELINING), emit(made, Target.VLLM)
    assert (fine.loss, fine.stages) == (0, tuple(stage.nodes for stage in made.stages))
    assert coarse.loss > 0
    assert coarse.stages != fine.stages


def test_rounding_is_the_best_of_all_divisions_of_layers() -> None:
    made = _plan(decoder(6, vocabulary=900), FOUR, Limits(stages=3))
    found = emit(made, Target.VLLM)
    counts = [int(n) for n in found.data["VLLM_PP_LAYER_PARTITION"].split(",")]
    sizes = {}
    layers = [
        [n for n in made.graph.nodes if n.module.startswith(f"model.layers.{i}.") or n.module == f"model.layers.{i}"]
        for i in range(6)
    ]
    ends = [max(made.graph.nodes.index(n) for n in layer) + 1 for layer in layers]
    ends[-1] = len(made.graph.nodes)
    evaluator = Evaluator(contract(made.graph), RateTable(profile(made.graph), FOUR))
    for one in range(1, 5):
        for two in range(one + 1, 6):
            cuts = [0, ends[one - 1], ends[two - 1], len(made.graph.nodes)]
            stages = tuple(tuple(range(i, j)) for i, j in pairwise(cuts))
            sizes[one, two - one, 6 - two] = evaluator.values(stages, found.devices, [Objective.THROUGHPUT])[0]
    assert found.reached[0].value == pytest.approx(min(sizes.values()), rel=1e-12)
    assert sizes[tuple(counts)] == pytest.approx(found.reached[0].value, rel=1e-12)


def test_a_device_map_keeps_residuals_whole_and_tied_weights_together() -> None:
    device_map = json.loads(emit(_plan(decoder(6, tied=True)), Target.ACCELERATE).text)
    assert device_map["lm_head"] == device_map["model.embed_tokens"]
    assert {module for module in device_map if module.startswith("model.layers.")} == {
        f"model.layers.{number}" for number in range(6)
    }
    assert len(set(device_map.values())) == 4


def test_accelerators_are_numbered_in_the_clusters_order() -> None:
    known = cluster("ultra9-185h", "rtx3060", "rtx3090")
    found = emit(_plan(decoder(6, 512), known, Limits()), Target.ACCELERATE)
    numbers = {"d0": "cpu", "d1": 0, "d2": 1}
    assert set(json.loads(found.text).values()) == {numbers[name] for name in found.devices}
    first = numbers[found.devices[0]]
    assert found.data["main_device"] in (first, "cpu")


def test_the_main_device_is_said_where_it_is_not_the_first() -> None:
    known = cluster("rtx3060", "rtx3090")
    made = _plan(decoder(6, 512), known, Limits(stages=2))
    found = emit(made, Target.ACCELERATE)
    assert found.data["main_device"] == {"d0": 0, "d1": 1}[found.devices[0]]
    assert any("main_device" in note for note in found.notes) == (found.data["main_device"] != 0)


def test_split_points_stand_between_the_stages() -> None:
    made = _plan(decoder(5), limits=Limits(stages=4))
    found = emit(made, Target.PIPELINING)
    spec = json.loads(found.text)
    assert set(spec.values()) <= {"BEGINNING", "END"}
    starts = []
    for module, point in spec.items():
        inside = [i for i, n in enumerate(made.graph.nodes) if n.module == module or n.module.startswith(module + ".")]
        starts.append(inside[0] if point == "BEGINNING" else inside[-1] + 1)
    assert starts == [stage[0] for stage in found.stages[1:]]


def test_no_module_gets_two_split_points() -> None:
    points = [[("a", "BEGINNING"), ("a.b", "BEGINNING")], [("a", "END")], [("c", "BEGINNING"), ("a", "END")]]
    assert dict(pipelining._one_each(points)) == {"a.b": "BEGINNING", "a": "END", "c": "BEGINNING"}


def test_ranks_are_named_where_devices_differ() -> None:
    found = emit(_plan(decoder(6, 512), cluster("rtx3060", "rtx3090"), Limits(stages=2)), Target.VLLM)
    assert any(f"rank 0 is {found.devices[0]}" in note for note in found.notes)


@pytest.mark.parametrize("devices", [("rtx3090", "rtx3060", "rtx3070"), ("ultra9-185h", "rtx3060"), ("rtx3060",) * 4])
@pytest.mark.parametrize("layers", [5, 6, 11])
def test_llama_cpp_deals_the_slots_out_as_planned(devices: tuple[str, ...], layers: int) -> None:
    """Slots as llama.cpp computes them, in float32: src/llama-model.cpp, load_tensors."""
    made = _plan(decoder(layers, 512), cluster(*devices), Limits(stages=len(devices)))
    found = emit(made, Target.LLAMA_CPP)
    options = found.data["options"]
    ngl = int(options["--n-gpu-layers"])
    gpus = options["--device"].split(",")
    shares = np.array(options["--tensor-split"].split(","), np.float32)
    splits = np.cumsum(shares, dtype=np.float32) / shares.sum(dtype=np.float32)
    rules = [rule.rsplit("=", 1) for rule in options.get("--override-tensor", "").split(",") if rule]
    home = {node: name for stage, name in zip(found.stages, found.devices, strict=True) for node in stage}
    gpu_of = {name: _gpu_name(made.cluster, name) for name in found.devices}
    for index, node in enumerate(made.graph.nodes):
        if (slot := _slot(node.module, layers)) is None:
            continue
        start = layers + 1 - ngl
        there = (
            "CPU"
            if slot < start
            else gpus[int(np.searchsorted(splits, np.float32(slot - start) / np.float32(ngl), "right"))]
        )
        weight = f"blk.{slot}.ffn_up.weight" if ".mlp" in node.module else f"blk.{slot}.attn_q.weight"
        there = next((device for rule, device in rules if slot < layers and re.search(rule, weight)), there)
        there = next((device for rule, device in rules if slot == layers and rule == "output"), there)
        if node.module.count(".") > 2 or slot == layers:
            assert there == gpu_of[home[index]], node.module


def _slot(module: str, layers: int) -> int | None:
    if module in ("model.norm", "lm_head"):
        return layers
    found = re.match(r"model\.layers\.(\d+)", module)
    return int(found[1]) if found else None


def _gpu_name(known: Cluster, name: str) -> str:
    gpus = [member.name for member in known.members if member.device.kind == "gpu"]
    return f"CUDA{gpus.index(name)}" if name in gpus else "CPU"


@pytest.mark.parametrize("target", [Target.VLLM, Target.LLAMA_CPP])
def test_only_a_language_model_has_layers_to_count(target: Target) -> None:
    with pytest.raises(InputError, match="one list of layers"):
        emit(_plan(chain([8] * 6), limits=Limits(stages=2)), target)


def test_more_stages_than_layers_cannot_be_expressed() -> None:
    made = _plan(decoder(2), limits=Limits(stages=4))
    with pytest.raises(InfeasibleError, match="2 inseparable parts"):
        emit(made, Target.VLLM)


def test_coarser_stages_may_need_one_more() -> None:
    graph = decoder(6, 64, vocabulary=2)
    one = profile(graph).weight_bytes // 6
    made = _plan(
        graph,
        equal_devices(find_device("a100"), find_link("pcie4")),
        Limits(memory_bytes=int(1.6 * one)),
        Objective.STAGES,
    )
    found = emit(made, Target.VLLM)
    assert found.planned[0].value < found.reached[0].value == len(found.stages)
    peaks = Evaluator(contract(graph), RateTable(profile(graph), made.cluster)).price(found.stages, found.devices)[0]
    assert max(stage.peak_bytes for stage in peaks) <= int(1.6 * one)
