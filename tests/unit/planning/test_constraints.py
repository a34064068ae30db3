"""What a user asks of single nodes: read from a file, kept, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import Builder, chain
from partwise.errors import InfeasibleError, InputError, PartwiseError
from partwise.hardware import REFERENCE_CLUSTER, Cluster, equal_devices, find_device, find_link
from partwise.ir import Graph, contract
from partwise.planning import Constraints, Limits, Objective, Pin, Plan, Terms, parse_constraints, plan, violations
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile


def modules(count: int) -> Graph:
    """linear, relu, linear, relu, … each pair in a module `layers.<n>`."""
    make = Builder()
    x = make.input((2, 8))
    for number in range(count):
        x = make.relu(make.linear(x, 8))
        make.nodes[-2:] = [replace(node, module=f"layers.{number}.{k}") for k, node in enumerate(make.nodes[-2:])]
    return make.graph(x)


def three() -> Cluster:
    return equal_devices(replace(find_device("a100"), name="a100"), find_link("pcie-4"), 3)


def planned(graph: Graph, constraints: Constraints, stages: int | None = None, cluster: Cluster | None = None) -> Plan:
    terms = Terms(cluster=cluster or REFERENCE_CLUSTER, constraints=constraints)
    return plan(graph, profile(graph), Limits(stages=stages), [Objective.BALANCE], terms)


def homes(made: Plan, module: str) -> set[str]:
    """The devices on which a module's nodes are."""
    nodes = made.graph.nodes
    return {s.device for s in made.stages for n in s.nodes if nodes[n].module.startswith(f"{module}.")}


def test_a_file_says_it_all() -> None:
    text = 'together = [["a", "b"]]\nuncut = ["c", ["d", "e"]]\n[pins]\n"f.0" = "gpu"\n'
    assert parse_constraints(text, "file") == Constraints(
        pins=(Pin(name="f.0", device="gpu"),), together=(("a", "b"),), uncut=(("c",), ("d", "e"))
    )


@pytest.mark.parametrize(
    "text",
    ["together = [[", "apart = 3", "together = 3", 'together = [["a"]]', 'uncut = [["a", "b", "c"]]', "[pins]\na = 3"],
)
def test_a_file_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"rules\.toml"):
        parse_constraints(text, "rules.toml")


def test_pinned_modules_run_where_they_are_pinned() -> None:
    graph = modules(4)
    pins = (Pin(name="layers.0", device="a100-2"), Pin(name="layers.3", device="a100-0"))
    made = planned(graph, Constraints(pins=pins), stages=3, cluster=three())
    assert (homes(made, "layers.0"), homes(made, "layers.3")) == ({"a100-2"}, {"a100-0"})
    assert made.gap == 0


def test_groups_share_a_stage_with_what_lies_between() -> None:
    made = planned(modules(4), Constraints(together=(("layers.0", "layers.2"),)), stages=2)
    assert [len(stage.nodes) for stage in made.stages] in ([6, 2], [7, 1])
    assert made.notes == (
        "[together layers.0, layers.2] takes 2 more nodes along: what lies between is in the same stage",
    )


def test_modules_and_pairs_stay_uncut() -> None:
    graph = modules(4)
    made = planned(graph, Constraints(uncut=(("layers.0",), ("layers.1", "layers.2"))), stages=4)
    home = {graph.nodes[n].name: stage.index for stage in made.stages for n in stage.nodes}
    assert home["linear_0"] == home["relu_1"]
    assert home["relu_3"] == home["linear_4"]


def test_unknown_names_have_near_ones() -> None:
    with pytest.raises(InputError, match=r"layer\.0.*layers\.0"):
        planned(modules(2), Constraints(together=(("layer.0", "layers.1"),)))
    with pytest.raises(InputError, match=r"a100-9.*a100-0"):
        planned(modules(2), Constraints(pins=(Pin(name="layers.0", device="a100-9"),)), cluster=three())
    with pytest.raises(InputError, match="no value goes"):
        planned(modules(3), Constraints(uncut=(("layers.0", "layers.2"),)))


@pytest.mark.parametrize("second", [["layers.0"], ["layers.0.1"], ["layers.1", "layers.2"]])
def test_pins_that_contradict_each_other_are_both_named(second: list[str]) -> None:
    pins = [Pin(name="layers.0", device="a100-0"), *(Pin(name=name, device="a100-1") for name in second)]
    if len(second) > 1:  # what lies between two nodes of one device is on it
        pins[-1] = Pin(name=second[-1], device="a100-0")
    with pytest.raises(InputError, match=r"`layers\.0` = `a100-0` and `.*` = `a100-1`.*contradict"):
        planned(modules(3), Constraints(pins=tuple(pins)), cluster=three())


def test_groups_that_wait_for_each_other_are_cyclic() -> None:
    crossed = Constraints(together=(("layers.0", "layers.2"), ("layers.1", "layers.3")))
    with pytest.raises(InputError, match=r"together layers\.0, layers\.2\].*together layers\.1.*cyclic"):
        planned(modules(4), crossed)


def test_groups_that_leave_too_little_say_so() -> None:
    whole = Constraints(together=(("layers.0", "layers.2"),))
    assert "takes in the whole graph" in planned(modules(3), whole).notes[-1]
    with pytest.raises(InfeasibleError, match=r"takes in the whole graph.*at most 1"):
        planned(modules(3), whole, stages=2)


def test_more_pinned_devices_than_stages() -> None:
    pins = tuple(Pin(name=f"layers.{n}", device=f"a100-{n}") for n in range(3))
    with pytest.raises(InfeasibleError, match=r"a100-0, a100-1, a100-2.*at least 3"):
        planned(modules(3), Constraints(pins=pins), stages=2, cluster=three())


def test_slices_refuse_pins() -> None:
    graph, pins = modules(2), (Pin(name="layers.0", device="a100-1"),)
    with pytest.raises(InputError, match="slices"):
        plan(
            graph,
            profile(graph),
            Limits(),
            terms=Terms(constraints=Constraints(pins=pins), cluster=three(), solver="slices"),
        )


def test_a_plan_that_breaks_them_is_found_out() -> None:
    graph = chain([8] * 5)
    made = planned(graph, Constraints(), stages=3, cluster=three())
    rates = RateTable(profile(graph), made.cluster)
    first = made.stages[0]
    name = graph.nodes[first.nodes[0]].name
    other = graph.nodes[made.stages[1].nodes[0]].name
    for broken, said in (
        (Constraints(pins=(Pin(name=name, device="a100-2" if first.device != "a100-2" else "a100-1"),)), "is pinned"),
        (Constraints(together=((name, other),)), "is not in one stage"),
    ):
        assert said in next(violations(replace(made, constraints=broken), Evaluator(contract(graph), rates)))


def test_pins_on_equal_devices_as_needed_hold_anyway() -> None:
    graph = modules(2)
    name = planned(graph, Constraints()).cluster.members[0].name
    assert len(planned(graph, Constraints(pins=(Pin(name="layers.0", device=name),)), stages=2).stages) == 2


def test_every_refusal_is_one_of_ours() -> None:
    with pytest.raises(PartwiseError):
        planned(modules(2), Constraints(together=(("", "layers.0"),)))


def test_many_pins_take_no_longer_than_few() -> None:
    """Twelve modules, each pinned to a device of its own: vectors of 2^12 would take minutes."""
    graph = modules(12)
    cluster = equal_devices(replace(find_device("a100"), name="a100"), find_link("pcie-4"), 12)
    names = [member.name for member in cluster.members]
    pins = tuple(Pin(name=f"layers.{number}", device=name) for number, name in enumerate(names))
    made = planned(graph, Constraints(pins=pins), cluster=cluster)
    assert [stage.device for stage in made.stages] == names
    assert made.gap == 0
    half = planned(graph, Constraints(pins=pins[::2]), cluster=cluster)
    assert all(homes(half, f"layers.{number}") == {names[number]} for number in range(0, 12, 2))
    assert half.gap == 0


def test_a_memory_limit_that_is_too_tight_is_named_beside_a_cluster() -> None:
    graph = modules(6)
    most = max(stage.peak_bytes for stage in planned(graph, Constraints(), cluster=three()).stages)
    with pytest.raises(InfeasibleError, match="memory: no plan keeps the limit, though the devices") as caught:
        plan(graph, profile(graph), Limits(memory_bytes=most // 2), [Objective.BALANCE], Terms(cluster=three()))
    enough = int(str(caught.value.hint).removeprefix("--memory ").removesuffix("."))
    assert most // 2 < enough <= 2 * most
    plan(graph, profile(graph), Limits(memory_bytes=enough), [Objective.BALANCE], Terms(cluster=three()))
