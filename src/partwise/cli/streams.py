"""The command's standard streams, which may be closed, full, or read by somebody who has gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import click

__all__ = ["leave_streams", "open_streams", "plain_text", "say"]


def open_streams() -> None:
    """Lead closed streams to nowhere, so that no file that is opened later becomes one of them by its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or _nowhere()
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()


def say(text: str, *, err: bool = False) -> None:
    """Print a line where that is possible."""
    with contextlib.suppress(OSError):
        click.echo(plain_text(text), err=err)


def plain_text(text: str) -> str:
    """Text in which nothing commands a terminal or runs backwards: names and messages may come from anybody's file."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def leave_streams() -> None:
    """Let go of what cannot be printed: Python would try once more at its end, and end with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(open(os.devnull, "r+b", buffering=0), write_through=True)
