"""The source document's tables, from its own formulas."""

from __future__ import annotations

import pytest

from graphs import Builder
from partwise.hardware import find_device
from partwise.profiling import profile
from partwise.profiling.simple import SOURCE_DEVICES, conv_tiles, simple_estimate, simple_seconds

BLOCK_FLOPS = 59e9
THROUGHPUT = {"h100-pcie": 21100, "tpu-v4": 7740, "kpu-t100": 2810, "kpu-t2": 56, "intel-i7": 25, "ryzen7": 17}
"""Inferences a second. Source: seed document 004, "Throughput Comparison (ResNet Block, 59 GFLOPs)"."""
RATIOS = {"h100-pcie": 1250, "tpu-v4": 458, "kpu-t100": 167, "kpu-t2": 3.3, "intel-i7": 1.5, "ryzen7": 1.0}
"""Source: seed document 004, "Performance Comparison (vs AMD Ryzen 7)"."""
DEVICES = {device.name: device for device in SOURCE_DEVICES}


@pytest.mark.parametrize("name", THROUGHPUT)
def test_throughput_as_printed(name: str) -> None:
    device = DEVICES[name]
    found = 1 / simple_seconds(BLOCK_FLOPS, device.flops_per_s, device.kind)
    assert found == pytest.approx(THROUGHPUT[name], rel=0.02)  # two digits are printed


@pytest.mark.parametrize("name", RATIOS)
def test_ratios_as_printed(name: str) -> None:
    device, base = DEVICES[name], DEVICES["ryzen7"]
    ratio = simple_seconds(1, base.flops_per_s, base.kind) / simple_seconds(1, device.flops_per_s, device.kind)
    assert ratio == pytest.approx(RATIOS[name], rel=0.011)


def test_tiles_are_the_convolutions_on_the_longest_way() -> None:
    make = Builder()
    x = make.input((1, 4, 8, 8))

    def conv(value: str) -> str:
        return make.node("aten.conv2d.default", [value, make.weight((4, 4, 1, 1))], (1, 4, 8, 8))

    graph = make.graph(make.add(conv(conv(x)), conv(x)))
    assert conv_tiles(graph, profile(graph)) == 2


def test_tiles_cost_a_twentieth_each() -> None:
    assert simple_seconds(1e9, 1e12, DEVICES["ryzen7"].kind, 21) == pytest.approx(2e-3)


def test_an_estimate_says_that_it_is_the_simple_one() -> None:
    make = Builder()
    graph = make.graph(make.linear(make.input((8, 64)), 64))
    made = simple_estimate(graph, profile(graph), find_device("kpu-t2"))
    assert made.seconds == pytest.approx(2 * 8 * 64 * 64 / 2e12 * 0.6)
    assert "memory takes no time" in made.notes[0]
    assert simple_estimate(graph, profile(graph), find_device("tpu-v5e")).joules is None
