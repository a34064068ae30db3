"""Clusters from TOML: members, links, shared memory, and files that are wrong."""

from __future__ import annotations

import pytest

from partwise.errors import DeviceError
from partwise.hardware import REFERENCE_CLUSTER, equal_devices, find_device, find_link, parse_cluster

HOME = """
name = "home"
[[member]]
device = "rtx3090"
count = 2
memory = "22GiB"
host = "desk"
[[member]]
name = "cpu"
device = "ultra9-185h"
host = "laptop"
shares = "ram"
[[member]]
device = "ultra9-185h-gpu"
host = "laptop"
shares = "ram"
[links]
within = "pcie4-x16"
between = "ethernet-10g"
[[links.pair]]
ends = ["cpu", "ultra9-185h-gpu"]
link = "shared-memory"
[pools]
ram = "32GiB"
"""


def test_members_links_and_pools() -> None:
    home = parse_cluster(HOME, "home.toml")
    assert [member.name for member in home.members] == ["rtx3090-0", "rtx3090-1", "cpu", "ultra9-185h-gpu"]
    assert home.members[0].memory_bytes == 22 * 2**30
    assert home.link("rtx3090-0", "rtx3090-1").name == "pcie4-x16"
    assert home.link("rtx3090-0", "cpu").name == "ethernet-10g"
    assert home.link("ultra9-185h-gpu", "cpu").name == "shared-memory"
    assert home.fastest("rtx3090-0").bytes_per_s == find_link("pcie4-x16").bytes_per_s
    assert home.pools == {"ram": 32 * 2**30}
    assert not home.has_one_link
    assert not home.is_uniform


def test_own_entries_stand_beside_the_catalog() -> None:
    own = """
[[member]]
device = "board"
count = 3
[links]
within = "bus"
[device.board]
kind = "cpu"
peak_flops_per_s = { float32 = 1e12 }
memory_bytes = "16GiB"
memory_bytes_per_s = 50e9
sources = [{ figures = ["*"], text = "measured", date = "2026-11-21" }]
[link.bus]
bytes_per_s = 1e9
latency_s = 1e-5
sources = [{ figures = ["*"], text = "measured", date = "2026-11-21" }]
"""
    cluster = parse_cluster(own, "own.toml")
    assert [member.name for member in cluster.members] == ["board-0", "board-1", "board-2"]
    assert cluster.within.bytes_per_s == 1e9
    assert cluster.is_uniform


PAIR = '[[links.pair]]\nends = ["{}", "cpu"]\nlink = "pcie4-x16"\n[pools]'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('device = "rtx3090"', 'device = "rtx9999"'), "nearest"),
        (("count = 2", "count = 0"), "at least 1"),
        (("count = 2", "number = 2"), "unknown key `number`"),
        (('"22GiB"', '"much"'), "not an amount of memory"),
        (('between = "ethernet-10g"', ""), "nothing connects"),
        (('ram = "32GiB"', 'swap = "32GiB"'), "no pool"),
        (('ends = ["cpu"', 'ends = ["fpga"'), "names `fpga`"),
        (('ends = ["cpu"', 'via = "desk"\nends = ["cpu"'), "unknown key `via`"),
        (
            ("[pools]", '[[links.pair]]\nends = ["ultra9-185h-gpu", "cpu"]\nlink = "pcie4-x16"\n[pools]'),
            "each pair once",
        ),
        (("[pools]", '[[links.pair]]\nends = ["cpu", "cpu"]\nlink = "pcie4-x16"\n[pools]'), "two members"),
        (('within = "pcie4-x16"', "within = 3"), "is no cluster"),
        (("[pools]", "[pools"), "is no TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(change: tuple[str, str], said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        parse_cluster(HOME.replace(*change), "home.toml")


def test_a_link_without_bandwidth_is_refused() -> None:
    slow = '[[member]]\ndevice = "a100"\n[links]\nwithin = "wire"\n[link.wire]\nbytes_per_s = 0.0\nlatency_s = 0.0\n'
    with pytest.raises(DeviceError, match="more than 0"):
        parse_cluster(slow + 'sources = [{ figures = ["*"], text = "x", date = "2026" }]\n', "slow.toml")


def test_an_open_cluster_has_as_many_devices_as_are_asked_for() -> None:
    assert REFERENCE_CLUSTER.is_open
    assert REFERENCE_CLUSTER.is_uniform
    four = equal_devices(find_device("a100"), find_link("nvlink3"), 4)
    assert [member.name for member in four.members] == [f"{four.members[0].device.name}-{n}" for n in range(4)]
    with pytest.raises(DeviceError, match="not in the cluster"):
        four.member("b200")
