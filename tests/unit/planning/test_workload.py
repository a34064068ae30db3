"""Workloads of the public benchmark: published optima, and files that are wrong."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.errors import InfeasibleError, InputError
from partwise.planning import Placement, parse_workload, place

FOLDER = Path(__file__).parents[2] / "data" / "placement"
PUBLISHED = {
    "bert24_layer_inference": 17.790,
    "resnet50_layer_inference": 33.775,
    "bert_l-3_op_inference": 27.919,
    "bert_l-6_op_inference": 29.580,
}
"""Exact contiguous optima. Source: the benchmark's dynamic program (msr-fiddle/dnn-partitioning, throughput-dp)."""


def node(number: int, time: float = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "cpuLatency": 10 * time, "fpgaLatency": time, "size": 1, "supportedOnFpga": 1, **more}


def edge(source: int, target: int, cost: float = 0.1) -> dict[str, Any]:
    return {"sourceId": source, "destId": target, "cost": cost}


def workload(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"maxSizePerFPGA": 100, "maxFPGAs": 2, "maxCPUs": 1, "nodes": nodes, "edges": edges, **more}


def placed(data: object) -> Placement:
    return place(parse_workload(data, "w"), "w")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_optimum(name: str) -> None:
    found = placed(json.loads((FOLDER / f"{name}.json").read_text()))
    assert found.value == pytest.approx(PUBLISHED[name], abs=0.0006)
    assert found.gap == 0
    assert found.value == max(stage.load for stage in found.stages)


def test_a_device_may_hold_any_nodes() -> None:
    pytest.importorskip("ortools", reason="the extra `solvers`")
    data = json.loads((FOLDER / "bert_l-3_op_inference.json").read_text())
    found = place(parse_workload(data, "w"), "w", non_contiguous=True, effort=2)
    assert found.value == pytest.approx(21.908, abs=0.0006)  # published as optimal: facts of the benchmark
    assert (found.gap, found.bound_plans, found.solver) == (0, "all placements", "cpsat")
    homes = [node for stage in found.stages for node in stage.nodes]
    assert sorted(homes) == sorted(node["id"] for node in data["nodes"])


def test_a_node_that_no_accelerator_runs() -> None:
    """However large its time there is said to be, it goes to the processor; without one there is no placement."""
    nodes = [node(0), node(1, supportedOnFpga=0, fpgaLatency=1e30), node(2)]
    found = placed(workload(nodes, [edge(0, 1), edge(1, 2)]))
    assert [stage.nodes for stage in found.stages if stage.device == "cpu-0"] == [(1,)]
    assert found.gap == 0
    with pytest.raises(InfeasibleError, match=r"node 1.*no CPU"):
        placed(workload(nodes, [], maxCPUs=0))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "is no workload"),
        (workload([node(0)], [edge(0, 7)]), "no node 7"),
        (workload([node(0), node(0)], []), "one id"),
        (workload([node(0), node(1)], [edge(0, 1), edge(1, 0)]), "cycle"),
        (workload([node(0, -1)], []), "expected 0 to 1e\\+100"),
        (workload([node(0, 1e308)], []), "expected 0 to 1e\\+100"),
        (workload([], []), "no node"),
        (workload([node(0)], [], maxFPGAs=0, maxCPUs=0), "no device"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(data: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        placed(data)


def test_more_devices_than_nodes_stay_empty() -> None:
    found = placed(workload([node(0), node(1)], [edge(0, 1)], maxFPGAs=2**40, maxCPUs=2**40))
    assert len(found.stages) <= 2
    assert found.gap == 0


def test_too_little_memory_is_infeasible() -> None:
    with pytest.raises(InfeasibleError, match="memory of its accelerators"):
        placed(workload([node(0), node(1)], [edge(0, 1)], maxSizePerFPGA=0.5, maxCPUs=0))


@st.composite
def training(draw: st.DrawFn) -> dict[str, Any]:
    """A forward graph and its backward twin, each pair of one colour; the last loss edge joins them."""
    count = draw(st.integers(2, 5))
    times = st.integers(1, 9).map(float)
    forward = [node(i, draw(times), isBackwardNode=0, colorClass=i) for i in range(count)]
    backward = [node(count + i, draw(times), isBackwardNode=1, colorClass=i) for i in range(count)]
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count) if j == i + 1 or draw(st.booleans())]
    costs = [float(draw(st.integers(0, 3))) for _ in range(2 * count)]
    edges = [edge(i, j, costs[i]) for i, j in pairs]
    edges += [edge(count + j, count + i, costs[count + j]) for i, j in pairs]
    edges += [edge(i, count + i, costs[i]) for i in range(count)]
    return workload(forward + backward, edges)


@settings(max_examples=60, deadline=None)
@given(training())
def test_training_equals_brute_force(data: dict[str, Any]) -> None:
    """Every assignment of colours to devices, in the order of the forward edges, priced from the rows."""
    count, devices = len(data["nodes"]) // 2, 3
    best = None
    forward = [(e["sourceId"], e["destId"]) for e in data["edges"] if e["destId"] < count]
    for homes in product(range(devices), repeat=count):
        if any(homes[i] > homes[j] for i, j in forward):
            continue
        for cpu in range(devices):
            value = max(_load(data, homes, stage, stage == cpu) for stage in range(devices))
            best = value if best is None else min(best, value)
    assert placed(data).value == pytest.approx(best)


def _load(data: dict[str, Any], homes: tuple[int, ...], stage: int, is_cpu: bool) -> float:
    count = len(homes)
    inside = {n["id"] for n in data["nodes"] if homes[n["id"] % count] == stage}
    load = sum(n["cpuLatency" if is_cpu else "fpgaLatency"] for n in data["nodes"] if n["id"] in inside)
    if is_cpu:
        return load
    crossing = {e["sourceId"]: e["cost"] for e in data["edges"] if (e["sourceId"] in inside) != (e["destId"] in inside)}
    return load + sum(crossing.values())
