"""Ranges around tasks, for a profiler that is asked for by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.runtime import run_package
from partwise.runtime.telemetry import RANGES
from tests.packages import example, small_package


def test_each_task_is_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    itt = pytest.importorskip("torch.profiler.itt")
    from partwise.runtime.telemetry import ranges

    calls = list[str]()
    monkeypatch.setattr(itt, "is_available", lambda: True)
    monkeypatch.setattr(itt, "range_push", calls.append)
    monkeypatch.setattr(itt, "range_pop", lambda: calls.append("end"))
    ranges._calls.cache_clear()  # pyright: ignore[reportPrivateUsage]
    package = small_package(tmp_path / "package", "null")
    run_package(package, example(), save=False)
    assert calls == []
    monkeypatch.setenv(RANGES, "itt")
    run_package(package, example(), save=False)
    assert calls == [word for stage in range(3) for word in (f"stage {stage} request 0", "end")]
    ranges._calls.cache_clear()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("kind", ["vtune", "nvtx"])
def test_what_cannot_be_marked_is_said(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    if kind == "nvtx" and torch.cuda.is_available():
        pytest.skip("no arithmetic: a CUDA build can mark")
    monkeypatch.setenv(RANGES, kind)
    with pytest.raises(InputError, match=RANGES):
        run_package(small_package(tmp_path / "package", "null"), example(), save=False)
