"""Kinds of machine."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from partwise import machine


@pytest.mark.parametrize(
    ("flags", "kind"), [("fpu avx avx2 avx512f", "+avx512f"), ("fpu avx avx2", "+avx2"), ("fpu", ""), (None, "")]
)
def test_kind(flags: str | None, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(machine, "_CPUINFO", info)
    machine.machine_kind.cache_clear()
    assert machine.machine_kind() == platform.machine() + kind
    machine.machine_kind.cache_clear()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("model name\t: A Chip\nflags\t\t: fpu avx avx2 fma avx512f", " A Chip+avx2+fma+avx512f"),
        ("Features\t: fp asimd sve", "+sve"),
        ("", ""),
    ],
)
def test_processor(lines: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(lines)
    monkeypatch.setattr(machine, "_CPUINFO", info)
    machine.processor.cache_clear()
    assert machine.processor() == platform.machine() + said
    machine.processor.cache_clear()
