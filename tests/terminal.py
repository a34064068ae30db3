"""A command at a terminal of its own: what it asks is read, answers are typed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from pathlib import Path

__all__ = ["Terminal"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r(?=\n)")


class Terminal:
    """One command whose three streams are a terminal."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str], columns: int = 100) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        termios.tcsetwinsize(theirs, (40, columns))
        os.close(theirs)
        self.text = ""
        self._read_to = 0

    def expect(self, words: str, timeout_s: float = 120) -> None:
        """Wait until these words stand on the screen, after those that were expected before."""
        end = time.monotonic() + timeout_s
        while (at := self.text.find(words, self._read_to)) < 0:
            if time.monotonic() > end or not self._read():
                self._process.kill()
                self._process.wait()
                raise AssertionError(f"no {words!r} in {self.text!r}")
        self._read_to = at + len(words)

    def type(self, line: str) -> None:
        """A line and the key Enter."""
        os.write(self._ours, f"{line}\n".encode())

    def end(self, timeout_s: float = 120) -> int:
        """The exit code, once all was read."""
        end = time.monotonic() + timeout_s
        while self._read():
            assert time.monotonic() < end, self.text
        os.close(self._ours)
        return self._process.wait(10)

    def _read(self) -> bool:
        """What there is to read, waiting a little for it; False at the end."""
        if not select.select([self._ours], [], [], 0.5)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # how a terminal ends on Linux
            return False
        self.text += _ESCAPES.sub("", data.decode(errors="replace")).replace("\r", "\n")  # a line written again
        return bool(data)
