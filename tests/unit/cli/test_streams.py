"""Streams of the command that are closed, full, or read by nobody: the exit code says what happened, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "partwise.cli"]


def ended(words: tuple[str, ...], redirected: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose streams a shell leads elsewhere."""
    line = f'exec "$@" {redirected}'
    done = subprocess.run(["sh", "-c", line, "sh", *COMMAND, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [("devices",), ("devices", "--json")])
def test_nobody_reads_any_more(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert not done.stderr


@pytest.mark.parametrize(
    ("words", "redirected", "code", "said"),
    [
        (("devices",), ">/dev/full", 3, "InputError: disk: cannot be written (No space left on device)"),
        (("devices", "nope", "--json"), ">/dev/full", 3, "DeviceError: device `nope`"),
        (("devices", "--nope", "--json"), ">/dev/full", 2, "No such option"),
        (("devices", "--nope"), "2>/dev/full", 2, ""),
    ],
)
def test_a_stream_is_full(words: tuple[str, ...], redirected: str, code: int, said: str) -> None:
    found, errors = ended(words, redirected)
    assert (found, "Traceback" in errors, "Exception ignored" in errors) == (code, False, False)
    assert said in errors


@pytest.mark.parametrize(
    ("words", "redirected", "code"),
    [
        (("devices",), ">&- <&-", 0),
        (("devices", "nope", "--json"), ">&- 2>&- <&-", 3),
    ],
)
def test_a_stream_is_closed(words: tuple[str, ...], redirected: str, code: int) -> None:
    found, errors = ended(words, redirected)
    assert (found, "Traceback" in errors) == (code, False)
