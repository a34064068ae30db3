"""The catalog's entries, and files of users that are wrong."""

from __future__ import annotations

import pytest

from partwise.errors import DeviceError
from partwise.hardware import REFERENCE_DEVICE, REFERENCE_LINK, Device, catalog, find_device, find_link, parse_hardware

GOOD = """
[device.mine]
kind = "cpu"
peak_flops_per_s = { float32 = 1e12 }
memory_bytes = "16GiB"
memory_bytes_per_s = 50e9
sources = [{ figures = ["*"], text = "measured", date = "2026-11-21" }]
"""
EARLY = """a100 a100-pcie-40gb a100-sxm-40gb h100-pcie h100-sxm h200 b200 l4 l40s rtx3060 rtx3090 rtx4090 rtx5090 mi300x
apple-m1 apple-m4-max epyc xeon tpu-v4 tpu-v5e jetson-orin kpu-t2 kpu-t100 intel-i7 ryzen7 ultra9-185h ultra9-185h-gpu
""".split()


@pytest.mark.parametrize("name", EARLY)
def test_the_devices_that_users_have_are_there(name: str) -> None:
    assert find_device(name).memory_bytes_per_s > 0


def test_every_figure_has_a_source_with_its_date() -> None:
    for entry in (*catalog().devices, *catalog().links):
        figures = [
            name for name in entry.__slots__ if name.endswith(("_s", "_bytes", "_w", "units")) and getattr(entry, name)
        ]
        for source in (entry.source(name) for name in figures) if isinstance(entry, Device) else entry.sources:
            assert source is not None
            assert source.text
            assert source.date[:2] == "20"


def test_no_name_is_said_twice() -> None:
    for entries in (catalog().devices, catalog().links):
        names = [name for entry in entries for name in (entry.name, *entry.aliases)]
        assert len(names) == len(set(names))


def test_the_reference_is_of_the_catalog() -> None:
    assert REFERENCE_DEVICE is find_device("a100-pcie-40gb")
    assert REFERENCE_LINK is find_link("pcie4-x16")
    assert (REFERENCE_DEVICE.flops_per_s, REFERENCE_DEVICE.peak("bfloat16").flops_per_s) == (19.5e12, 312e12)


def test_names_are_found_however_they_are_written() -> None:
    assert find_device("RTX 4090") is find_device("rtx_4090") is find_device("rtx4090")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(DeviceError, match=r"`rtx409` is not in.*|rtx4090") as caught:
        find_device("rtx409")
    assert "rtx4090" in caught.value.hint
    with pytest.raises(DeviceError) as caught:
        find_link("pcie9")
    assert "pcie5-x16" in caught.value.hint


def test_a_users_file_has_the_same_format() -> None:
    (mine,) = parse_hardware(GOOD, "mine.toml").devices
    assert (mine.memory_bytes, mine.flops_per_s) == (16 << 30, 1e12)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("memory_bytes_per_s = 50e9", "memory_bytes_per_s = -50e9", "memory_bytes_per_s"),
        ("memory_bytes_per_s = 50e9", "memory_bytes_per_s = 0", "more than 0"),
        ("memory_bytes_per_s = 50e9", "memory_bytes_per_s = inf", "more than 0"),
        ("memory_bytes_per_s = 50e9", "", "memory_bytes_per_s"),
        ('"16GiB"', '"16"', "without a unit"),
        ('"16GiB"', '"16 pounds"', "amount of memory"),
        ('"16GiB"', "-1", "more than 0"),
        ('"cpu"', '"toaster"', "toaster"),
        ("float32 = 1e12", "float32 = -1e12", "peak_flops_per_s"),
        ("float32 = 1e12", "", "no peak"),
        ("memory_bytes_per_s = 50e9", "memory_bytes_per_second = 50e9", "memory_bytes_per_s"),
        ('figures = ["*"]', 'figures = ["memory_bytes"]', "has no source"),
        ('figures = ["*"]', 'figures = ["*", "tdp_w"]', "tdp_w"),
        ("2026-11-21", "yesterday", "date"),
        ("[device.mine]", "[machine.mine]", "unknown table"),
        ("[device.mine]", "device = 3\n[link.mine]", "entries"),
        ("[device.mine]", "[device.mine", "no TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(old: str, new: str, said: str) -> None:
    with pytest.raises(DeviceError, match=r"mine\.toml") as caught:
        parse_hardware(GOOD.replace(old, new), "mine.toml")
    assert said in str(caught.value)
