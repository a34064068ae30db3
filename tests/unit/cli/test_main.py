"""The frame of the command: verbs, help, errors and exit codes."""

from __future__ import annotations

import json

import pytest

from command import exit_code
from partwise.cli.main import VERBS, partwise
from partwise.cli.option_types import Devices, Objectives
from partwise.errors import InputError

_LONG = "a" * 300  # more than a name of a file may have on any usual system


def test_help_lists_the_verbs_in_the_order_of_the_pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    positions = [text.index(f"\n  {verb} ") for verb in VERBS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("verb", list(VERBS))
def test_each_verb_explains_itself_with_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, verb, "--help") == 0
    text = capsys.readouterr().out
    assert f"partwise {verb}" in text[text.index("Example:") :]
    assert "--json" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_options_of_every_verb_are_frozen() -> None:
    """Renaming an option breaks scripts: change this list on purpose only."""
    context = partwise.make_context("partwise", [], resilient_parsing=True)
    found = {}
    for verb in VERBS:
        command = partwise.get_command(context, verb)
        assert command is not None
        found[verb] = sorted(name for parameter in command.params for name in parameter.opts if name.startswith("--"))
    capturing = ["--batch", "--config", "--dtype", "--image-size", "--module", "--no-weights", "--optimize"]
    capturing += ["--sequence", "--static", "--task"]
    planning = [
        "--cache",
        "--constraints",
        "--cluster",
        "--effort",
        "--max-layers",
        "--max-parameters",
        "--memory",
        "--objective",
        "--overhead",
        "--sequences",
        "--solver",
        "--stages",
    ]
    assert found["capture"] == sorted([*capturing, "--cache", "--json", "--model", "--output"])
    comparing = ["--check", "--csv", "--estimator", "--fuse", "--hardware", "--models", "--price"]
    assert found["profile"] == sorted([*capturing, *comparing, "--depth", "--json", "--logits", "--phase"])
    assert found["calibrate"] == sorted(["--engine", "--json", "--name", "--output", "--threads"])
    assert found["devices"] == sorted(["--here", "--json", "--links", "--toml"])
    running = ["--engine", "--executor", "--in-flight", "--input", "--max-difference", "--run-dir", "--seed", "--size"]
    running += ["--address", "--threads"]
    assert found["cut"] == sorted(["--config", "--json", "--module", "--no-check", "--output", "--threads"])
    proving = ["--srs", "--insecure-srs", "--time-limit", "--memory-limit", "--prover-threads"]
    proving += ["--prover", "--templates"]
    chosen, circuits = ["--layers", "--max-error"], ["--base", "--columns", "--legs", "--logrows", "--scale"]
    circuits += ["--integer", "--queries", "--visibility"]
    assert found["slice"] == sorted(
        ["--batch", "--json", "--max-layers", "--max-nodes", "--output", "--proof", "--segments"]
    )
    assert found["compile"] == sorted([*circuits, *proving, "--input", "--json", "--layers", "--memory"])
    holding = ["--max-layers", "--max-parameters", "--memory", "--workers"]
    assert found["prove"] == sorted([*proving, *holding, "--json", "--layers", "--output"])
    working = ["--cpu-fallback", *holding]
    tracing = ["--trace", "--trace-format", "--trace-nodes"]
    assert found["run"] == sorted(
        [*running, *working, *tracing, *proving, *chosen, "--config", "--json", "--output", "--watch"]
    )
    joining = ["--cache", "--head", "--host", "--join", "--package", "--port", "--store", "--temp-dir"]
    limits = ["--max-layers", "--max-nodes", "--max-parameters", "--memory", "--workers"]
    assert found["worker"] == sorted([*joining, *limits, "--json"])
    serving = ["--batch-delay", "--config", "--drain", "--engine", "--executor", "--host", "--in-flight", "--json"]
    serving += ["--max-batch", "--max-body", "--max-difference", "--max-queue", "--name", "--port", "--threads"]
    serving += ["--timeout", "--workers"]
    assert found["serve"] == sorted(serving)
    judging = ["--against", "--config", "--engine", "--input", "--json", "--max-difference", "--module", "--package"]
    assert found["verify"] == sorted([*judging, "--claim", "--manifest", "--templates", "--threads", "--time-limit"])
    everything = {*capturing, *planning, *running, *proving, *chosen, *circuits, "--proof", "--workers"}
    assert found["full-run"] == sorted({*everything, "--json", "--model", "--output"})
    measuring = ["--against", "--engine", "--executor", "--in-flight", "--json", "--output", "--rounds", "--seconds"]
    assert found["bench"] == sorted([*measuring, "--seed", "--size", "--suite", "--threads"])
    reasoning = ["--emit", "--explain", "--generate", "--microbatches", "--pareto", "--plot", "--prompt", "--schedule"]
    reasoning += ["--phase", "--fuse", "--non-contiguous"]
    assert found["plan"] == sorted([*capturing, *planning, *reasoning, "--json", "--model", "--output", "--workload"])


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-verb",),
        ("plan",),
        ("plan", "x", "--memory", "12 apples"),
        ("--nope",),
        ("plan", "x", "--model", "y"),
        ("run", "x", "--trace-nodes"),
    ],
)
def test_wrong_usage_is_2(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(monkeypatch, *words) == 2


@pytest.mark.parametrize(
    ("words", "subject", "what"),
    [
        (("pla", "x"), "partwise", "Did you mean 'plan'?"),
        (("plan",), "partwise plan", "Missing argument 'MODEL'"),
        (("cut", "x"), "PLAN", "Missing argument 'PLAN'."),
        (("cut", "x", "y"), "--output", "Missing option '-o' / '--output'."),
        (("plan", "x", "--stage", "3"), "--stage", "'--stages'"),
        (("plan", "x", "--stages"), "--stages", "requires an argument"),
        (("run", "x", "--executor", "threads"), "--executor", "is not one of"),
        (("run", "x", "--in-flight", "0"), "--in-flight", "not in the range"),
        (("plan", "x", "y", "z"), "partwise plan", "unexpected extra argument"),
        (("plan", "x", "--memory", "-5GiB"), "--memory", "not an amount of memory"),
    ],
)
def test_wrong_usage_is_a_record_too(
    words: tuple[str, ...],
    subject: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As every other error: the record on stdout, words for people on stderr, the code kept."""
    assert exit_code(monkeypatch, words[0], "--json", *words[1:]) == 2
    streams = capsys.readouterr()
    found = json.loads(streams.out)
    assert found.keys() == InputError("a", "b").as_dict().keys()
    assert (found["error"], found["subject"]) == ("UsageError", subject)
    assert what in found["what"]
    assert what in streams.err


def test_words_that_an_option_takes_are_in_the_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "run", "x", "--json", "--executor", "threads") == 2
    assert json.loads(capsys.readouterr().out)["expected"] == "processes, in-process, ray"


def test_a_users_mistake_is_one_line_and_its_branchs_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "capture", "missing.onnx", "--json") == 3
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err
    assert "missing.onnx" in json.loads(streams.out)["subject"]


def test_an_output_folder_that_is_missing_is_found_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "capture", "missing.onnx", "-o", "/no/such/folder/graph.json") == 3
    assert "its folder does not exist" in capsys.readouterr().err


def test_objectives_complete() -> None:
    kind = Objectives()
    context = partwise.make_context("partwise", [], resilient_parsing=True)
    found = [item.value for item in kind.shell_complete(context, partwise.params[0], "stages,t")]
    assert found == ["stages,traffic", "stages,throughput"]
    found = [item.value for item in kind.shell_complete(context, partwise.params[0], "0.5*traffic+0.5*thr")]
    assert found == ["0.5*traffic+0.5*throughput"]


def test_verbs_complete_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    context = partwise.make_context("partwise", [], resilient_parsing=True)
    assert [item.value for item in partwise.shell_complete(context, "p")] == ["profile", "plan", "prove"]


def test_devices_complete() -> None:
    context = partwise.make_context("partwise", [], resilient_parsing=True)
    found = Devices().shell_complete(context, partwise.params[0], "a100,h100-p")
    assert [item.value for item in found] == ["a100,h100-pcie"]
    assert [item.type for item in Devices().shell_complete(context, partwise.params[0], "mine")] == ["file"]


@pytest.mark.parametrize(
    "words",
    [("run", _LONG), ("verify", _LONG), ("compile", _LONG), ("prove", _LONG), ("plan", "x", "-o", _LONG)],
    ids=lambda words: words[0],
)
def test_a_path_that_the_system_refuses_is_a_mistake(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, *words) == 3
    streams = capsys.readouterr()
    assert "too long" in streams.err
    assert "Traceback" not in streams.err
