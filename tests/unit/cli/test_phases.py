"""`partwise plan` for language models: K/V in memory, and prefill and decode apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from command import said, saved
from graphs import decoder
from partwise.cli.plan import plan
from partwise.cli.profile import profile
from partwise.errors import InputError
from partwise.ir import Graph
from partwise.plan_files import load_plan

LAPTOP = """
[[member]]
device = "ultra9-185h-gpu"
shares = "ram"
[[member]]
device = "ultra9-185h"
shares = "ram"
[links]
within = "shared-memory"
[pools]
ram = "32GiB"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved(decoder(2, capacity=64, symbolic=True), tmp_path / "cached.json")
    saved(decoder(2, capacity=None), tmp_path / "plain.json")
    (tmp_path / "laptop.toml").write_text(LAPTOP)
    return tmp_path


def test_a_whole_request(folder: Path) -> None:
    words = (folder / "cached.json", "--cluster", folder / "laptop.toml", "--prompt", 32, "--generate", 8, "--batch", 2)
    text = said(plan, *words)
    assert "32 tokens read, 8 made" in text
    assert "do not split: " in text
    record = json.loads(said(plan, *words, "--objective", "latency", "--json"))
    assert record["answer"] == "do not split"
    assert record["value"] >= record["bound"] > 0
    assert record["prefill"]["sizes"] == {"batch": 2, "sequence": 32, "logits": 1, "capacity": 32}
    assert record["decode"]["sizes"] == {"batch": 2, "sequence": 1, "logits": 1, "capacity": 36}
    assert {row["answer"] for row in record["alternatives"]} == {"do not split", "split by phase"}


def test_a_saved_plan_is_one_that_can_be_cut(folder: Path) -> None:
    target = folder / "plan.json"
    said(plan, folder / "cached.json", "--prompt", 8, "--generate", 4, "-o", target)
    assert load_plan(target).stages[0].kept_bytes == 2 * 12 * 2 * 2 * 8 * 4  # layers, tokens, K and V, heads, width


UNLIKE = """
[[member]]
device = "quick"
[[member]]
device = "wide"
[links]
within = "pcie5-x16"
[device.quick]
kind = "gpu"
peak_flops_per_s = { float32 = 200e12 }
memory_bytes = "8GiB"
memory_bytes_per_s = 50e9
units = 100
sources = [{ figures = ["*"], text = "made up", date = "2026-11" }]
[device.wide]
kind = "gpu"
peak_flops_per_s = { float32 = 0.4e12 }
memory_bytes = "8GiB"
memory_bytes_per_s = 1500e9
units = 100
sources = [{ figures = ["*"], text = "made up", date = "2026-11" }]
"""


def test_by_phase_two_plans_are_saved(folder: Path) -> None:
    (folder / "unlike.toml").write_text(UNLIKE)
    saved(_wide(), folder / "wide.json")
    words = (folder / "wide.json", "--cluster", folder / "unlike.toml", "--prompt", 2048, "--generate", 200)
    text = said(plan, *words, "-o", folder / "plan.json")
    assert "split by phase: " in text
    assert "of K/V in" in text
    assert not (folder / "plan.json").exists()
    prefill, decode = (load_plan(folder / f"plan.{phase}.json") for phase in ("prefill", "decode"))
    assert (prefill.sizes["sequence"], decode.sizes["sequence"]) == (2048, 1)
    assert any("split by phase" in note for note in decode.notes)


def _wide() -> Graph:
    return decoder(3, capacity=512, heads=16, width=64, symbolic=True)


def test_one_phase_for_any_objective(folder: Path) -> None:
    words = (folder / "cached.json", "--phase", "decode", "--sequence", 50, "--stages", 2, "--cache", 200, "--json")
    record = json.loads(said(plan, *words, "--objective", "throughput"))
    assert record["sizes"] == {"batch": 1, "sequence": 1, "logits": 1, "capacity": 50}
    assert sum(stage["kept_bytes"] for stage in record["stages"]) == 2 * 200 * 2 * 2 * 8 * 4


def test_keys_and_values_without_a_cache(folder: Path) -> None:
    text = said(plan, folder / "plain.json", "--stages", 2, "--cache", 100, "--sequences", 3, "--overhead", "1KiB")
    assert "K/V, engine" in text
    record = json.loads(said(plan, folder / "plain.json", "--stages", 2, "--cache", 100, "--sequences", 3, "--json"))
    assert record["reserve"] == {"cache": 100, "sequences": 3, "overhead_bytes": 0}
    assert sum(stage["kept_bytes"] for stage in record["stages"]) == 2 * 3 * 100 * 2 * 2 * 8 * 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--prompt", "8"), "go together"),
        (("--prompt", "8", "--generate", "4", "--emit", "vllm"), "no --emit"),
        (("--prompt", "8", "--generate", "4", "--sequence", "9"), "--sequence"),
        (("--prompt", "8", "--generate", "4", "--fuse", "patterns"), "--fuse"),
        (("--phase", "decode"), "needs --sequence"),
    ],
)
def test_what_does_not_go_together(folder: Path, words: tuple[str, ...], why: str) -> None:
    done = CliRunner().invoke(plan, [str(folder / "cached.json"), *words])
    assert done.exit_code == 2
    assert why in done.stderr


def test_other_objectives_and_graphs_are_refused(folder: Path) -> None:
    request = ["--prompt", "8", "--generate", "4"]
    for words in ([folder / "cached.json", "--objective", "traffic"], [folder / "plain.json"]):
        with pytest.raises(InputError, match=r"latency|captured without a cache"):
            CliRunner().invoke(plan, [*map(str, words), *request], catch_exceptions=False)


def test_a_profile_sweeps_over_one_capture(folder: Path) -> None:
    words = [str(folder / "cached.json"), "--hardware", "rtx4090", "--phase", "decode", "--sequence", "8,32"]
    done = CliRunner().invoke(profile, [*words, "--batch", "1,4", "--json"], catch_exceptions=False)
    assert done.stderr.count("captured") == 1
    found = [(each["sizes"], each["key_values"]) for each in json.loads(done.stdout)["profiles"]]
    token = 2 * 2 * 2 * 8 * 4  # layers, K and V, heads, width, bytes
    assert [sizes["capacity"] for sizes, _ in found] == [8, 32, 8, 32]
    assert [moved["read_bytes"] for _, moved in found] == [s["batch"] * s["capacity"] * token for s, _ in found]
    assert [moved["written_bytes"] for _, moved in found] == [sizes["batch"] * token for sizes, _ in found]
    text = CliRunner().invoke(profile, words, catch_exceptions=False).stdout
    assert "K/V read" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    "words", [("--phase", "decode"), ("--logits", "last"), ("--phase", "decode", "--sequence", "8", "--static")]
)
def test_a_profile_of_a_phase_needs_tokens_and_free_sizes(folder: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"--sequence|no(ne)? .*named|fixes every size"):
        CliRunner().invoke(profile, [str(folder / "cached.json"), *words], catch_exceptions=False)
