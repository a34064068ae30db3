"""Seconds and joules of nodes."""

from __future__ import annotations

from graphs import transformer
from partwise.hardware import REFERENCE_DEVICE, idle_watts, launch_seconds
from partwise.profiling import node_joules, node_seconds, profile


def test_no_node_is_faster_than_its_roofline_and_a_launch() -> None:
    found = profile(transformer(1, 64, 32))
    launch = launch_seconds(REFERENCE_DEVICE)
    for cost, seconds in zip(found.nodes, node_seconds(found, REFERENCE_DEVICE), strict=True):
        assert seconds >= launch + cost.flops / REFERENCE_DEVICE.flops_per_s if cost.traffic_bytes else seconds == 0


def test_energy_is_between_idle_and_design_power() -> None:
    found = profile(transformer(1, 64, 32))
    seconds, joules = sum(node_seconds(found, REFERENCE_DEVICE)), sum(node_joules(found, REFERENCE_DEVICE))
    assert REFERENCE_DEVICE.tdp_w is not None
    assert idle_watts(REFERENCE_DEVICE) * seconds < joules < REFERENCE_DEVICE.tdp_w * seconds
