"""`partwise profile` as a user types it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from command import said
from partwise.cli.profile import profile
from partwise.errors import DeviceError, InputError
from partwise.hardware import catalog

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SQUEEZENET, VGG = str(LIGHT / "light_squeezenet.onnx"), str(LIGHT / "light_zfnet512.onnx")


def test_by_module_on_one_device() -> None:
    text = said(profile, SQUEEZENET, "--hardware", "h100-pcie", "--price", "2")
    for word in ("MACs", "FLOPs", "bytes", "FLOP/B", "bound", "time", "energy", "tiles", "samples/s", "$"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100


def test_models_on_all_devices_as_csv(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    text = said(profile, "--models", SQUEEZENET, VGG, "--hardware", "all", "--csv", str(file))
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 2 * len(catalog().devices)
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert max(map(len, text.splitlines())) <= 100


def test_a_sweep_over_batches_needs_one_capture() -> None:
    done = CliRunner().invoke(profile, ["resnet18", "--hardware", "rtx4090", "--batch", "1,8", "--json"])
    assert done.stderr.count("captured") == 1
    record = json.loads(done.stdout)
    first, second = record["profiles"]
    assert second["macs"] == 8 * first["macs"]
    one, eight = (row["samples_per_s"] for row in record["estimates"])
    assert eight > one


def test_fused_kernels_are_fewer_and_faster() -> None:
    apart, fused = (
        json.loads(said(profile, "resnet18", "--hardware", "rtx4090", "--batch", "1", "--fuse", rules, "--json"))[
            "estimates"
        ][0]
        for rules in ("none", "optimal")
    )
    assert len(fused["groups"]) < len(apart["groups"]) / 2
    assert fused["seconds"] < apart["seconds"]
    assert fused["flops"] == apart["flops"]


def test_a_sweep_says_when_each_device_is_full() -> None:
    text = said(profile, "resnet18", "--hardware", "h100,kpu-t2", "--batch", "1,8")
    rows = [line.split() for line in text[text.index("Parallelism") :].splitlines() if line.startswith("resnet18")]
    assert [row[1] for row in rows] == ["h100-sxm", "kpu-t2"]
    assert int(rows[0][-1]) > int(rows[1][-1]) >= 1


def test_json_of_one_model_is_its_profile() -> None:
    record = json.loads(said(profile, SQUEEZENET, "--hardware", "kpu-t2", "--json"))
    assert record["flops"] == 2 * record["macs"]
    (made,) = record["estimates"]
    assert made["groups"][0]["mappings"][0]["tiles"] >= 1


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[device.mine]\nkind = "cpu"\npeak_flops_per_s = { float32 = 1e12 }\nmemory_bytes_per_s = 50e9\n'
        'sources = [{ figures = ["*"], text = "measured", date = "2026" }]\n'
    )
    text = said(profile, SQUEEZENET, "--hardware", str(file))
    assert "mine" in text
    assert "states no `units`" in text


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((SQUEEZENET, "--hardware", "h200-nvl"), DeviceError),
        ((SQUEEZENET, "--hardware", "missing.toml"), DeviceError),
        ((SQUEEZENET, "--batch", "4"), InputError),
        ((SQUEEZENET, "--price", "2"), InputError),
        ((SQUEEZENET, "--csv", "x.csv"), InputError),
        (("resnet18", "--static", "--batch", "1,8"), InputError),
    ],
)
def test_a_mistake_is_an_error_of_partwise(words: tuple[str, ...], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        CliRunner().invoke(profile, words, catch_exceptions=False)
