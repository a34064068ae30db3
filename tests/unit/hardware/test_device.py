"""Peaks by type, and energy that stays below the design power."""

from __future__ import annotations

from dataclasses import replace

import pytest

from partwise.errors import DeviceError
from partwise.hardware import (
    Device,
    catalog,
    find_device,
    idle_watts,
    joules_per_byte,
    joules_per_flop,
    launch_seconds,
)


@pytest.mark.parametrize(
    ("device", "dtype", "rate_of"),
    [
        ("h100-sxm", "float8_e4m3fn", "float8"),
        ("a100", "float8_e4m3fn", "bfloat16"),
        ("t4", "bfloat16", "float16"),
        ("v100", "int8", "float16"),
        ("p4", "float16", "float32"),
        ("p4", "float64", "float32"),
        ("tpu-v4", "float32", "bfloat16"),
        ("kpu-t2", "float32", "int8"),
        ("epyc-7763", "bfloat16", "float32"),
    ],
)
def test_a_type_that_is_lacking_falls_to_the_next_and_says_so(device: str, dtype: str, rate_of: str) -> None:
    found = find_device(device)
    peak = found.peak(dtype)
    assert (peak.dtype, peak.flops_per_s) == (rate_of, found.peak_flops_per_s[rate_of])
    assert bool(peak.note) == (not dtype.startswith(rate_of))


def test_a_figure_that_a_rule_needs_is_named() -> None:
    device = replace(find_device("a100"), clock_hz=None)
    with pytest.raises(DeviceError, match="`clock_hz`, which waves needs"):
        device.need("clock_hz", "waves")


@pytest.mark.parametrize(
    "device", [d for d in catalog().devices if d.tdp_w and not d.joules_per_flop], ids=lambda d: d.name
)
def test_full_load_draws_no_more_than_the_design_power(device: Device) -> None:
    assert device.tdp_w is not None
    for dtype in device.peak_flops_per_s:
        arithmetic = joules_per_flop(device, dtype) * device.peak_flops_per_s[dtype]
        drawn = arithmetic + joules_per_byte(device) * device.memory_bytes_per_s + idle_watts(device)
        assert drawn == pytest.approx(device.tdp_w) or (arithmetic == 0 and drawn > device.tdp_w)


def test_energy_needs_one_of_two_figures() -> None:
    with pytest.raises(DeviceError, match="tdp_w"):
        joules_per_flop(find_device("tpu-v5e"), "bfloat16")


def test_what_a_device_states_goes_before_the_rule() -> None:
    device = replace(find_device("a100"), launch_s=1e-6, idle_w=7.0, joules_per_byte=1e-12, joules_per_flop=2e-12)
    figures = launch_seconds(device), idle_watts(device), joules_per_byte(device), joules_per_flop(device, "int8")
    assert figures == (1e-6, 7.0, 1e-12, 2e-12)
