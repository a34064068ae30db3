"""What a prediction takes for granted is said, and no more once it is stated."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import partwise.hardware
from partwise.hardware import Source, assumed, find_device

STATED = Source(figures=("*",), text="datasheet", date="2021")


def test_what_nobody_published_is_said() -> None:
    laptop = " ".join(assumed(find_device("ultra9-185h")))
    assert "copies reach 80% of the bandwidth" in laptop
    assert "5 µs from one operation to the next" in laptop
    assert "6 pJ a bit of lpddr5" in laptop
    assert "memory_bytes of ultra9-185h" in laptop


def test_what_was_measured_is_not_assumed() -> None:
    entry = replace(
        find_device("ultra9-185h"),
        efficiency={"matmul": 0.7, "memory": 0.8},
        launch_s=3e-6,
        idle_w=5.0,
        joules_per_byte=5e-11,
        sources=(STATED,),
    )
    assert assumed(entry) == ("a core takes 8 microkernels at a time",)


def test_published_shares_are_not_assumed() -> None:
    h100 = " ".join(assumed(find_device("h100-pcie")))
    assert "bandwidth" not in h100
    assert "pJ" not in h100
    assert "reach 90% of the peak" in h100


def test_every_module_that_assumes_has_its_say() -> None:
    """A new assumption of the package joins those that are said."""
    folder = Path(partwise.hardware.__file__).parent
    texts = {path.stem: path.read_text() for path in folder.glob("*.py") if path.stem not in ("assumed", "device")}
    assuming = {name for name, text in texts.items() if re.search(r"[;:(] assumed\b", text)}
    assert assuming == {name for name, text in texts.items() if "def assumed_" in text}
