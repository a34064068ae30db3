"""A user's machine for tests of proofs: its folders, its verbs, its terminal, its disk that runs full."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from terminal import Terminal

__all__ = ["Machine"]

COMMAND = (sys.executable, "-m", "partwise.cli")


class Machine:
    """A user's folders on one machine."""

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(cache or folder / "cache"),
        }

    def start(self, *words: str, cwd: Path | None = None, most_bytes: int | None = None) -> subprocess.Popen[bytes]:
        """A verb under way.

        Args:
            words: of the verb.
            cwd: the current folder.
            most_bytes: of a file; it stands for a full disk (coverage, which writes too, is off).
        """
        pipe, environment = subprocess.PIPE, self.environment
        if most_bytes is not None:
            environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=cwd or self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            preexec_fn=None if most_bytes is None else partial(_limit_files, most_bytes),
        )

    def at_terminal(self, *words: str, cwd: Path | None = None) -> Terminal:
        """A verb with somebody to ask."""
        return Terminal([*COMMAND, *words], cwd or self.folder, self.environment)

    def call(self, *words: str, cwd: Path | None = None, code: int = 0, most_bytes: int | None = None) -> str:
        """Standard output, or the error where the exit code is another than 0."""
        process = self.start(*words, cwd=cwd, most_bytes=most_bytes)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, (out.decode(), err.decode())
        assert b"Traceback" not in err
        return (out if code in (0, 1) else err).decode()

    def data(self, *words: str, **options: object) -> dict[str, object]:
        return json.loads(self.call(*words, "--json", **options))  # pyright: ignore[reportArgumentType]


def _limit_files(most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
