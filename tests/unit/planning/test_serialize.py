"""Plans as JSON: round trip, digest, stale plans, hostile files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from graphs import chain, diamond
from partwise.digest import canonical_json
from partwise.errors import PartwiseError, PlanError, StalePlanError
from partwise.planning import Limits, Objective, Plan, plan, plan_digest, plan_from_data, plan_to_data
from partwise.profiling import profile

Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made() -> Plan:
    graph = diamond()
    return plan(graph, profile(graph), Limits(stages=2), [Objective.TRAFFIC])


def test_round_trip_with_and_without_the_graph(made: Plan) -> None:
    text = canonical_json(plan_to_data(made, with_graph=True))
    assert plan_from_data(json.loads(text)) == made
    assert plan_from_data(json.loads(text), made.graph) == made
    assert plan_from_data(plan_to_data(made, with_graph=False), made.graph) == made


def test_keys_are_those_of_the_format(made: Plan) -> None:
    data = plan_to_data(made, with_graph=False)
    assert set(data) == {
        "version", "graph", "sizes", "limits", "reserve", "fusion", "constraints", "levels", "value", "bound",
        "bound_origin", "bound_plans", "gap", "solver", "cluster", "stages", "cuts", "notes",
    }  # fmt: skip
    assert set(data["stages"][0]) == {
        "index", "device", "nodes", "parameters", "weight_bytes", "kept_bytes", "peak_bytes", "macs", "flops", "time_s",
        "energy_j", "inputs", "outputs",
    }  # fmt: skip
    assert set(data["cuts"][0]) == {"source", "target", "tensors", "bytes"}


def test_the_same_plan_has_the_same_digest(made: Plan) -> None:
    again = plan(made.graph, profile(made.graph), made.limits, [Objective.TRAFFIC])
    assert plan_digest(again) == plan_digest(made)


def test_a_plan_of_another_graph_is_stale(made: Plan) -> None:
    for with_graph in (True, False):
        with pytest.raises(StalePlanError, match="another graph"):
            plan_from_data(plan_to_data(made, with_graph=with_graph), chain((4, 4)))


def test_a_digest_alone_needs_the_graph(made: Plan) -> None:
    with pytest.raises(PlanError, match="digest only"):
        plan_from_data(plan_to_data(made, with_graph=False))


SPOILED: dict[str, Spoil] = {
    "no version": lambda data: data.pop("version"),
    "another version": lambda data: data.update(version="partwise.plan/2"),
    "a list": lambda data: data.update(stages=3),
    "a lost node": lambda data: data["stages"][0].update(nodes=data["stages"][0]["nodes"][1:]),
    "a node twice": lambda data: data["stages"][1]["nodes"].insert(0, 0),
    "a node of no graph": lambda data: data["stages"][1]["nodes"].append(10**9),
    "a negative node": lambda data: data["stages"][0]["nodes"].insert(0, -1),
    "stages in the wrong order": lambda data: _swap(data["stages"]),
    "an empty stage": lambda data: data["stages"].append(data["stages"][1] | {"index": 2, "nodes": []}),
    "no stage": lambda data: data.update(stages=[]),
    "no level": lambda data: data.update(levels=[]),
    "a lying peak": lambda data: data["stages"][0].update(peak_bytes=1),
    "a lying time": lambda data: data["stages"][0].update(time_s=0.0),
    "a lying value": lambda data: data.update(value=0.0),
    "a lying level": lambda data: data["levels"][0].update(value=1.0),
    "a bound above the value": lambda data: data.update(bound=data["value"] * 2),
    "a lying gap": lambda data: data.update(gap=0.5),
    "a cut left out": lambda data: data["cuts"].pop(),
    "a broken limit": lambda data: data["limits"].update(memory_bytes=10),
    "another number of stages": lambda data: data["limits"].update(stages=3),
    "an unknown size": lambda data: data.update(sizes={"batch": 4}),
    "a broken graph": lambda data: data["graph"].pop("nodes"),
    "memory that no cluster has": lambda data: data["cluster"]["members"][0].update(pool="ram"),
    "a device without a rate": lambda data: _stop(data["cluster"]["members"][0]["device"]),
    "not a number": lambda data: data.update(bound=float("nan")),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_plans_are_refused(made: Plan, name: str) -> None:
    data = copy.deepcopy(json.loads(canonical_json(plan_to_data(made, with_graph=True))))
    SPOILED[name](data)
    with pytest.raises(PartwiseError, match="plan"):
        plan_from_data(data)


def _swap(stages: list[dict[str, Any]]) -> None:
    stages[0]["nodes"], stages[1]["nodes"] = stages[1]["nodes"], stages[0]["nodes"]


def _stop(device: dict[str, Any]) -> None:
    device["peak_flops_per_s"] = dict.fromkeys(device["peak_flops_per_s"], 0.0)
