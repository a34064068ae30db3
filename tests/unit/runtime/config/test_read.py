"""A configuration file: what is read, and what is refused with which words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.runtime.config import parse_config, read_config
from partwise.runtime.config.schema import Config

DOCS = Path(__file__).parents[4] / "docs" / "config.md"


def parsed(text: str) -> Config:
    return parse_config(f"version: partwise.config/1\n{text}".encode(), "split.yaml")


def test_sections_and_defaults() -> None:
    found = parsed("execution: {threads: 2}\nserve:\nbandwidth: {share: 0.8, roof: 47GB}\ndevices: {stages: {1: cpu}}")
    assert found.execution.threads == 2
    assert found.execution.engine is None
    assert found.bandwidth is not None
    assert found.bandwidth.providers == ("resctrl", "perf", "accounted")
    assert found.devices.stages == {1: "cpu"}
    assert parsed("") == Config(version="partwise.config/1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thresholdz: {}", "split.yaml, thresholdz: is no key that is known. Hint: did you mean `thresholds`?"),
        ("pipelining: {inflight: 2}", "pipelining.inflight: is no key that is known. Hint: did you mean `pipelining."),
        ("bandwidth: {shar: 0.5}", "did you mean `bandwidth.share`?"),
        ("memory: {xyz: 1}", "it may be one of: budget, weights, pinned, unified."),
        ("1: 2", "split.yaml, 1: is no key"),
        ("bandwidth: {share: 1.5, roof: 1GB}", "split.yaml, bandwidth.share: expected `float` <= 1.0"),
        ("bandwidth: {share: 0.5}", "split.yaml, bandwidth: object missing required field `roof`"),
        ("execution: {threads: 0}", "execution.threads"),
        ("execution: {threads: two}", "execution.threads"),
        ("execution: {executor: cloud}", "execution.executor"),
        ("execution: [1]", "execution: expected `object`"),
        ("execution: {executor: cloud}", "Hint: one of: processes, in-process."),
        (
            "memory: {weights: streamd}",
            "weights: invalid enum value 'streamd'. Hint: one of: resident, streamed.",
        ),
        ("telemetry: {ranges: nvt}", "Hint: one of: nvtx, itt."),
        ("thresholds: {load: .nan}", "thresholds.load"),
        ("serve: {port: 70000}", "serve.port"),
        ("faults: {heartbeat_s: -1}", "split.yaml, faults.heartbeat_s: expected `float` > 0.0"),
        ("faults: {attempts: 0}", "split.yaml, faults.attempts: expected `int` >= 1"),
        ("faults: {lowered: 2}", "split.yaml, faults.lowered: expected `float` <= 1.0"),
        ("faults: {tick_s: .inf}", "split.yaml, faults.tick_s: expected `float` <= 1000000.0"),
        ("faults: {load_s: .nan}", "split.yaml, faults.load_s"),
        ("serve: {port: 1}\nserve: {port: 2}", "split.yaml, line 3: the key `serve` stands twice. Hint: it stands in"),
        ("serve:\n  port: 1\n  port: 2", "split.yaml, line 4: the key `port` stands twice"),
        ("telemetry: {trace: 2020-99-99}", "is no YAML"),
        ("telemetry: {trace: 2020-09-09}", "telemetry.trace"),
        ("a: [", "is no YAML"),
        ("a: !!python/object/apply:os.system [id]", "is no YAML"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        parsed(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"7", b"- 1", b"\xff\xfe\x00", b"version: partwise.config/2", b"serve: {}"])
def test_what_is_no_configuration(data: bytes) -> None:
    with pytest.raises(InputError, match=r"split\.yaml"):
        parse_config(data, "split.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")


def test_the_example_of_the_docs_is_read_and_names_every_section() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    found = parse_config(example.encode(), "docs/config.md")
    assert set(Config.__struct_fields__) == set(re.findall(r"^(\w+):", example, re.MULTILINE))
    assert found.bandwidth is not None
