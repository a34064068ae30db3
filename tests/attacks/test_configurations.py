"""Hostile configurations and templates: YAML that grows, names and numbers that are none."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from partwise.errors import InputError
from partwise.hardware import parse_cluster
from partwise.planning.constraints.records import parse_constraints
from partwise.runtime.config import parse_config
from partwise.runtime.config.schema import CONFIG_VERSION
from partwise.verification.zk.command_templates import parse_templates


def _laughs(last: str) -> str:
    """YAML whose aliases stand for 9^7 words; `last` is the key that gets them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 7)]
    return "\n".join([*lines, f"{last}: *a6"])


BOMBS = {
    "version": _laughs("version"),
    "a section": f"version: {CONFIG_VERSION}\n" + _laughs("devices"),
    "a value": f"version: {CONFIG_VERSION}\n" + _laughs("package"),
    "a date that is none": f"version: {CONFIG_VERSION}\npackage: 2026-99-99",
    "a number of 5,000 digits": f"version: {CONFIG_VERSION}\npackage: {'9' * 5000}",
    "a number that is no version": "version: " + "9" * 4000,
    "a tag of Python's": f"version: {CONFIG_VERSION}\npackage: !!python/object/apply:os.system ['true']",
    "a key that is a list": f"version: {CONFIG_VERSION}\n? [a]\n: b",
    "depth": "[" * 5000,
    "depth in blocks": "- " * 5000,
    "depth in keys": "{a: " * 5000,
    "an alias of itself": "version: &a [*a]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_configuration(name: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError) as refused:
        parse_config(BOMBS[name].encode(), "config")
    assert len(str(refused.value)) < 1000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("step", ["version", "setup"])
def test_hostile_templates(step: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError) as refused:
        parse_templates(_laughs(step), "templates", is_yaml=True)
    assert len(str(refused.value)) < 1000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("parse", [parse_cluster, parse_constraints])
@pytest.mark.parametrize(
    "text",
    ["x = " + "9" * 5000, "x = 2026-99-99", "x = " + "[" * 5000, "[a.b" + ".b" * 5000 + "]", "x = 1\nx = 2", "\0"],
)
def test_hostile_toml(text: str, parse: Callable[[str, str], object]) -> None:
    with pytest.raises(InputError) as refused:
        parse(text, "file")
    assert len(str(refused.value)) < 6000
