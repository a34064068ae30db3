"""Processes that compute keep what operators free, unless their environment says how to allocate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from partwise.freed_memory import FreedMemory
from partwise.runtime import run_package
from partwise.runtime.stage import Weights
from tests.packages import example, small_package

pytestmark = pytest.mark.skipif(not hasattr(os, "confstr") or "glibc" not in str(os.confstr("CS_GNU_LIBC_VERSION")),
                                reason="the C library is not glibc")  # fmt: skip

_PROGRAM = """
import ctypes, resource, sys
from partwise.freed_memory import freed_memory, keep_freed
if sys.argv[1] == "keep":
    keep_freed()
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
def take(size):
    place = library.malloc(size)
    ctypes.memset(place, 1, size)
    library.free(place)
for size in (5 << 20, 4 << 20, 5 << 20):
    take(size)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    places = [library.malloc(4 << 20) for _ in range(4)]
    for place in places:
        ctypes.memset(place, 1, 4 << 20)
    for place in places:
        library.free(place)
print(freed_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(word: str, **environment: str) -> tuple[str, int]:
    """What 20 rounds of four blocks of 4 MiB cost in page faults; one round touches 4096 pages of 4 KiB."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    found = subprocess.run(
        [sys.executable, "-c", _PROGRAM, word], env=plain | environment, capture_output=True, text=True, check=True
    )
    now, count = found.stdout.split()
    return now, int(count)


def test_kept_memory_is_not_asked_for_again() -> None:
    kept, few = _faults("keep")
    left, many = _faults("leave")
    assert (kept, left) == ("kept", "left")
    assert few <= 2 * 4096 < 5 * 4096 < many


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX"])
def test_the_users_own_choice_stands(name: str) -> None:
    assert _faults("keep", **{name: "131072"})[0] == "left"


def test_a_stages_process_keeps_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = small_package(tmp_path / "package", engine="null")
    for name, said in (("MALLOC_UNSET", FreedMemory.LEFT), (None, FreedMemory.KEPT)):
        with monkeypatch.context() as patch:
            if name:
                patch.setenv(name, "1")
            run = run_package(package, example(), executor="processes", workers=1, save=False)
        assert {settings.freed_memory for settings in run.record.engines} == {said}


def test_streamed_weights_are_not_kept(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", engine="null")
    run = run_package(package, example(), executor="processes", workers=1, weights=Weights.STREAMED, save=False)
    assert {settings.freed_memory for settings in run.record.engines} == {FreedMemory.LEFT}
