"""Code in the README and the docs runs, and every command shown there has the options it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from partwise.cli.main import partwise

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page and number, code) of every fenced block of a kind."""
    fence = re.compile(rf"^```{kind}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (f"{page.relative_to(ROOT)}:{number}", code)
        for page in PAGES
        for number, code in enumerate(fence.findall(page.read_text()))
    ]


PYTHON = blocks("python")
COMMANDS = sorted({line for _, code in blocks("text") for line in code.splitlines() if line.startswith("partwise ")})


@pytest.mark.parametrize(("where", "code"), PYTHON, ids=[where for where, _ in PYTHON])
def test_python_runs(where: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, where, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_shown_has_its_options(line: str) -> None:
    words = shlex.split(line.partition("  #")[0])[1:]
    context = partwise.make_context("partwise", [], resilient_parsing=True)
    command = partwise.get_command(context, words[0])
    assert command is not None, words[0]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known | {"--help"}


def test_there_is_something_to_run() -> None:
    assert PYTHON
    assert len(COMMANDS) > 5
