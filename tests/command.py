"""The command as tests call it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from partwise.cli.main import main
from partwise.digest import canonical_json
from partwise.ir import Graph, graph_to_data

__all__ = ["exit_code", "said", "saved"]

MACHINE_READ = {"--json", "--toml"}


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Of `partwise` with these words, whose errors become messages."""
    monkeypatch.setattr(sys, "argv", ["partwise", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def said(verb: click.Command, *words: object, code: int = 0) -> str:
    """What a verb prints: at most 100 columns wide unless machines read it; where it fails, its errors too."""
    done = CliRunner().invoke(verb, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    assert MACHINE_READ & set(words) or max(map(len, done.stdout.splitlines()), default=0) <= 100
    return done.output if code else done.stdout


def saved(graph: Graph, path: Path) -> Path:
    """A graph's file, as `capture -o` writes it."""
    path.write_bytes(canonical_json(graph_to_data(graph)))
    return path
