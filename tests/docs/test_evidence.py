"""The table of claims names only tests and commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from partwise.cli.main import VERBS

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence.md"
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def rows() -> list[tuple[str, str, str]]:
    """(claim, proof, figure) of each row."""
    lines = [line for line in EVIDENCE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(c[0], c[1], c[2]) for c in cells if len(c) == 3 and c[0] not in ("what holds",) and set(c[0]) - set("-| ")]


@pytest.mark.parametrize(("claim", "proof", "figure"), rows(), ids=lambda text: text[:40])
def test_each_proof_exists(claim: str, proof: str, figure: str) -> None:
    named = re.findall(r"`([^`]+)`", proof)
    assert claim
    assert figure
    assert named or proof == "*open*", "a claim names a test or a command, or is *open*"
    for name in named:
        _check(name)


def _check(name: str) -> None:
    if "::" in name or name.startswith("tests/"):
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or re.search(rf"def {test}\b", (ROOT / path).read_text()), name
        return
    words = shlex.split(name)
    if words[0] == "make":
        assert words[1] in _TARGETS, name
    elif words[0] == "partwise":
        assert words[1] in VERBS, name
    else:
        scripts = [word for word in words if "/" in word and word.endswith((".py", ".sh"))]
        assert scripts, f"{name}: neither a test, a make target, a verb nor a script"
        assert all((ROOT / script).exists() for script in scripts), name
