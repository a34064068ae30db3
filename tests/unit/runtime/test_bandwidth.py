"""Counters of the bus, from folders made as the kernel's documents describe them: the test machine has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.runtime.bandwidth import PerfUncore, Resctrl, make_chain
from partwise.runtime.governor import Accounted


def test_resctrl_sums_the_domains_of_the_machine(tmp_path: Path) -> None:
    files = [tmp_path / "mon_data" / f"mon_L3_0{number}" / "mbm_total_bytes" for number in range(2)]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("1000\n")
    counter = Resctrl(tmp_path)
    assert counter.read(1.0) is None, "one reading is no rate"
    files[0].write_text("3000\n")
    files[1].write_text("5000\n")
    assert counter.read(3.0) == 3000
    files[0].write_text("Unavailable\n")
    assert counter.read(4.0) is None
    files[0].write_text("10\n")
    assert counter.read(5.0) is None
    assert counter.read(6.0) == 0


def uncore(root: Path) -> None:
    """A server's memory controller: what Linux shows for one of a Xeon."""
    unit = root / "uncore_imc_0"
    for name, text in {
        "type": "24\n",
        "format/event": "config:0-7\n",
        "format/umask": "config:8-15\n",
        "events/cas_count_read": "event=0x04,umask=0x03\n",
        "events/cas_count_read.scale": "6.103515625e-5\n",
        "events/cas_count_read.unit": "MiB\n",
    }.items():
        (unit / name).parent.mkdir(parents=True, exist_ok=True)
        (unit / name).write_text(text)


def test_perf_counts_what_the_units_files_say(tmp_path: Path) -> None:
    uncore(tmp_path)
    begun, count = list[tuple[int, int]](), [0]
    counter = PerfUncore(tmp_path, lambda kind, config: begun.append((kind, config)) or (lambda: count[0]))
    assert begun == [(24, 0x304)]
    counter.read(0.0)
    count[0] = 1000
    assert counter.read(1.0) == pytest.approx(1000 * 64), "a column access moves a cache line"


def test_no_right_to_count_is_no_reading(tmp_path: Path) -> None:
    def refuse(kind: int, config: int) -> object:
        raise PermissionError(kind, config)

    uncore(tmp_path)
    counter = PerfUncore(tmp_path, refuse)  # pyright: ignore[reportArgumentType]
    assert counter.read(0.0) is None
    assert counter.read(1.0) is None


def test_without_counters_the_account_is_believed(tmp_path: Path) -> None:
    assert PerfUncore(tmp_path).read(0.0) is None
    assert Resctrl(tmp_path).read(0.0) is None
    accounted = Accounted()
    accounted.add(0.0, 1.0, 5)
    sample = make_chain(("accounted",), accounted).sample(1.0)
    assert sample is not None
    assert (sample.provider, sample.bytes_per_s) == ("accounted", 5)
    with pytest.raises(InputError, match="resctrl, perf, accounted"):
        make_chain(("msr",), accounted)
