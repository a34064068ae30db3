"""Time, energy and utilization of graphs on devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import Builder, chain, transformer
from partwise.hardware import Device, catalog, find_device, idle_watts, launch_seconds
from partwise.ir import Graph
from partwise.profiling import estimate, node_groups, profile

GRAPH = transformer(2, 256, 128)


@pytest.mark.parametrize("device", catalog().devices, ids=lambda device: device.name)
def test_every_device_of_the_catalog(device: Device) -> None:
    counted = profile(GRAPH)
    made = estimate(counted, device)
    assert made.seconds == pytest.approx(sum(group.seconds for group in made.groups))
    assert made.seconds > counted.flops / device.flops_per_s
    assert 0 < made.busy <= 1
    if made.joules is None:
        assert any("tdp_w" in note for note in made.notes)
    elif device.tdp_w is not None:
        assert idle_watts(device) * made.seconds <= made.joules <= device.tdp_w * made.seconds * 1.001


def test_the_same_arguments_give_the_same_record() -> None:
    counted = profile(GRAPH)
    assert estimate(counted, find_device("h100")) == estimate(counted, find_device("h100"))


def test_every_node_that_does_something_is_a_group() -> None:
    counted = profile(GRAPH)
    nodes = {group.nodes[0] for group in node_groups(counted)}
    assert nodes == {cost.node for cost in counted.nodes if cost.traffic_bytes or cost.macs}


def test_a_group_saves_what_passes_inside_it() -> None:
    counted, device = profile(chain([1024, 1024], rows=4096)), find_device("rtx3060")
    linear, relu = node_groups(counted)
    both = _Group(
        nodes=(0, 1), input_bytes=linear.input_bytes, output_bytes=relu.output_bytes, weight_bytes=linear.weight_bytes
    )
    apart, together = estimate(counted, device), estimate(counted, device, [both])
    assert together.flops == apart.flops
    assert together.seconds < apart.seconds - launch_seconds(device)


class _Group:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


def matmul(rows: int) -> Graph:
    make = Builder()
    return make.graph(make.linear(make.input((rows, 4096)), 4096))


def test_a_batch_raises_the_rate_until_the_device_is_full() -> None:
    device = find_device("h100")
    rates = [made.flops_per_s for rows in (1, 16, 256, 4096) for made in [estimate(profile(matmul(rows)), device)]]
    assert rates == sorted(rates)
    assert rates[0] < 0.05 * device.flops_per_s
    assert rates[-1] > 0.7 * device.flops_per_s


def test_what_a_device_does_not_state_is_noted() -> None:
    bare = replace(find_device("h100"), units=None, tdp_w=None, memory_bytes=None)
    made = estimate(profile(GRAPH), bare)
    assert any("`units`" in note for note in made.notes)
    assert any("tdp_w" in note for note in made.notes)
    assert made.fits is None
    assert made.joules is None


def test_a_type_that_is_lacking_is_noted() -> None:
    made = estimate(profile(GRAPH), find_device("tpu-v4"))
    assert any("bfloat16's is used" in note for note in made.notes)


def test_the_share_of_the_peak_is_a_devices_own_figure_first() -> None:
    device = find_device("h100")
    slow = replace(device, efficiency={"matmul": 0.45})
    counted = profile(matmul(4096))
    ratio = estimate(counted, slow).groups[0].compute_s / estimate(counted, device).groups[0].compute_s
    assert ratio == pytest.approx(0.9 / 0.45)


def test_a_thousand_runs_cost_their_seconds() -> None:
    made = estimate(profile(GRAPH), find_device("h100"))
    assert made.usd_per_1000(3.6) == pytest.approx(made.seconds)


def convolved(**figures: object) -> float:
    """Seconds of a small convolution, and of nothing else, on a processor with these figures."""
    make = Builder()
    x, weight = make.input((1, 16, 8, 8)), make.weight((16, 16, 3, 3))
    graph = make.graph(make.node("aten.conv2d.default", [x, weight, None, 1, 1], (1, 16, 8, 8)))
    device = replace(find_device("ultra9-185h"), launch_s=2e-6)
    return estimate(profile(graph), replace(device, **figures)).seconds


def test_a_convolution_may_take_longer_to_launch_and_lays_its_values_out_where_a_share_says_so() -> None:
    plain, moved = convolved(), 4 * (2 * 16 * 8 * 8 + 16 * 16 * 9)
    rate = find_device("ultra9-185h").memory_bytes_per_s
    assert convolved(conv_launch_s=50e-6) - plain == pytest.approx(48e-6)
    assert convolved(efficiency={"layout": 0.5}) - plain == pytest.approx(2 * moved / (0.5 * rate))
    weight = 4 * 16 * 16 * 9
    packed = 2 * (moved - weight) / (0.5 * rate) + 2 * weight / (0.25 * rate)
    assert convolved(efficiency={"layout": 0.5, "packing": 0.25}) - plain == pytest.approx(packed)


def passed(op: str, **shares: float) -> float:
    """Seconds of arithmetic of an operator on 1,000 rows of 64."""
    make = Builder()
    graph = make.graph(make.node(op, [make.input((1000, 64))], (1000, 64)))
    return estimate(profile(graph), replace(find_device("ultra9-185h"), efficiency=shares)).groups[0].compute_s


def test_the_share_of_a_function_goes_before_that_of_its_kind() -> None:
    assert passed("aten.tanh.default", vector=0.5, tanh=0.1) == pytest.approx(passed("aten.tanh.default", vector=0.1))
    assert passed("aten.exp.default", vector=0.5, tanh=0.1) == pytest.approx(passed("aten.exp.default", vector=0.5))
    assert passed("aten.layer_norm.default", vector=0.5, norm=0.1) == pytest.approx(
        passed("aten.layer_norm.default", vector=0.1)
    )
    assert passed("aten.max_pool2d.default", vector=0.5, max_pool=0.1) == pytest.approx(
        passed("aten.max_pool2d.default", vector=0.1)
    )


def test_a_batch_norm_at_inference_scales_in_one_pass() -> None:
    once = passed("aten.relu.default", vector=0.5)
    assert passed("aten._native_batch_norm_legit_no_training.default", vector=0.5, norm=0.1) == pytest.approx(once)
