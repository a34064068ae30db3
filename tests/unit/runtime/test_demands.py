"""What stages need of a worker: their peaks; with streamed weights their values, and the largest of them at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partwise import api
from partwise.errors import RunError
from partwise.packaging import Package
from partwise.runtime import Capacity, run_package
from partwise.runtime.cutter import Cutter
from partwise.runtime.demands import demands_of
from partwise.runtime.stage import Weights
from tests.packages import example, heavy_package, small_graph, weights

VALUES = [64, 64, 90]
"""Bytes: [2, 4] floats in and out; of the last a second one, two booleans, and [2, 3] out."""


@pytest.fixture
def heavy(tmp_path: Path) -> Package:
    return heavy_package(tmp_path / "package")


def test_peaks_stay_and_only_values_do_where_weights_are_streamed(heavy: Package) -> None:
    resident, streamed = demands_of(heavy), demands_of(heavy, weights=Weights.STREAMED)
    assert [demand.bytes for demand in resident] == [1 << 20, 3 << 20, 2 << 20]
    assert [d.bytes + d.computing_bytes for d in streamed] == [d.bytes for d in resident]
    assert [demand.bytes for demand in streamed] == VALUES
    one, three = Capacity(bytes=(3 << 20) + 2000), Capacity(bytes=6 << 20)
    assert one.shortage(streamed) is None
    assert one.shortage(resident) is not None
    assert three.shortage(resident) is None


def test_one_worker_runs_what_it_could_not_hold(heavy: Package) -> None:
    """By one worker whose memory is that of the largest stage and the values; resident weights do not fit it."""
    room = Capacity(bytes=(3 << 20) + 2000)
    options: dict[str, Any] = {"workers": 1, "capacity": room, "save": False}
    run = run_package(heavy, example(2), weights=Weights.STREAMED, **options)
    assert list(run.outputs) == ["y"]
    assert not run.record.incidents
    with pytest.raises(RunError, match=r"stage 1: together with stages 0, 2 needs 6291456 bytes, has 3147728"):
        run_package(heavy, example(2), weights=Weights.RESIDENT, **options)


class Small:
    """The small graph as a model."""

    capture = staticmethod(small_graph)

    def weights(self, graph: object) -> dict[str, np.ndarray]:
        del graph
        return weights()

    def answers(self, graph: object, requests: object) -> list[dict[str, np.ndarray]]:
        raise AssertionError(f"cut without a check: {graph} and {requests} are not compared")


def test_pieces_of_a_stage_too(tmp_path: Path) -> None:
    package = api.cut(Small(), api.plan(small_graph(), stages=1), tmp_path / "package", check=False)
    _, resident = Cutter(package).cut(0)
    _, streamed = Cutter(package, Weights.STREAMED).cut(0)
    assert [d.bytes + d.computing_bytes for d in streamed] == [d.bytes for d in resident]
    assert [d.computing_bytes for d in streamed] == [4 * d.parameters for d in streamed]
    assert sum(d.parameters for d in streamed) == sum(array.size for array in weights().values())
