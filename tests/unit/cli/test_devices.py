"""The catalog at the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from command import said
from partwise.cli.devices import devices
from partwise.hardware import catalog, parse_hardware
from partwise.runtime.engines import make_engine


def test_all_are_listed_within_100_columns() -> None:
    text = said(devices)
    for device in catalog().devices:
        assert f"\n{device.name} " in text
    assert max(map(len, text.splitlines())) <= 100


def test_of_a_named_one_every_figure_has_its_source() -> None:
    text = said(devices, "rtx4090")
    assert "peak_flops_per_s.bfloat16" in text
    assert "(2022-10)" in text


def test_links_are_listed() -> None:
    assert "nvlink4" in said(devices, "--links")


def test_json_is_the_record() -> None:
    (found,) = json.loads(said(devices, "h100-pcie", "--json"))["devices"]
    assert found["peak_flops_per_s"]["bfloat16"] == 756e12


def test_what_is_here_and_what_reaches_it() -> None:
    pytest.importorskip("torch")
    text = said(devices, "--here")
    assert "torch" in text
    assert max(map(len, text.splitlines())) <= 100
    found = json.loads(said(devices, "--here", "--json"))
    assert found["devices"][0]["name"] == "here"
    here = found["here"]
    assert here["processor"]["usable"] >= 1
    assert here["processor"]["memory_bytes"] >= here["processor"]["available_bytes"] > 0
    engines = {engine["engine"]: engine for engine in here["engines"]}
    assert set(engines) == {"torch", "onnxruntime", "openvino"}
    assert all(engine["version"] or engine["hint"] for engine in engines.values())
    for unit in here["units"]:
        make_engine(unit["engine"], 1)  # what is listed can be used


def test_an_engine_that_is_not_installed_is_listed_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    (found,) = [
        e for e in json.loads(said(devices, "--here", "--json"))["here"]["engines"] if e["engine"] == "openvino"
    ]
    assert (found["version"], found["hint"]) == (None, "pip install 'partwise[openvino]'")


def test_this_machine_is_an_entry_that_can_be_used(tmp_path: Path) -> None:
    text = said(devices, "--here", "--toml")
    (here,) = parse_hardware(text, "here.toml").devices
    assert here.units is not None
    assert here.units >= 1
    assert here.flops_per_s > 1e9
    file = tmp_path / "here.toml"
    file.write_text(text)
    assert "peak_flops_per_s.float32" in said(devices, str(file))


@pytest.mark.parametrize("name", [device.name for device in catalog().devices if device.kind != "gpu"])
def test_an_entrys_text_reads_back_to_the_same(name: str) -> None:
    from partwise.calibration import entry_text
    from partwise.hardware import find_device

    device = find_device(name)
    assert parse_hardware(entry_text(device), "x").devices == (device,)
