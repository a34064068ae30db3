"""Stages whose weights are read for each task: nothing held between tasks, the same bytes, wherever they run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from partwise.errors import DigestMismatchError, InputError
from partwise.ir import Mutation
from partwise.packaging import Package, Segment
from partwise.packaging.files import blob_path
from partwise.runtime.engines import make_engine
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment
from partwise.runtime.executors import Options
from partwise.runtime.stage import Stage, Weights
from partwise.runtime.trace import Probe
from tests.packages import example, small_package
from tests.remote import start_executor


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("stage") / "package", "null")


class Counting:
    """An engine that knows which of its segments are still alive."""

    def __init__(self) -> None:
        self._inner = make_engine("null", 1)
        self.loaded, self.alive = 0, weakref.WeakSet[LoadedSegment]()

    @property
    def settings(self) -> EngineSettings:
        return self._inner.settings

    def load(self, segment: Segment) -> LoadedSegment:
        self.loaded += 1
        loaded = _Loaded(self._inner.load(segment), segment.weights)
        self.alive.add(loaded)
        return loaded


class _Loaded:
    def __init__(self, inner: LoadedSegment, weights: Mapping[str, np.ndarray]) -> None:
        self.run, self.weights = inner.run, weights


def test_weights_are_in_memory_while_their_stage_computes_and_no_longer(package: Package) -> None:
    for weights, held in ((Weights.RESIDENT, 1), (Weights.STREAMED, 0)):
        engine = Counting()
        stage = Stage(package, 0, engine, weights=weights)
        given = {"x": example()["x"]}
        found = [stage.compute(n, given, {"batch": 2}, Probe()).outputs["active"].tobytes() for n in range(3)]
        gc.collect()
        assert (len(engine.alive), engine.loaded) == (held, 1 if held else 4)
        assert len(set(found)) == 1


def test_every_byte_is_checked_again(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    stage = Stage(package, 1, make_engine("null", 1), weights=Weights.STREAMED)
    weight = package.manifest.segments[1].weights[0].blob
    path = blob_path(package.path, weight.digest)
    path.write_bytes(b"\1" * weight.size)
    with pytest.raises(DigestMismatchError):
        stage.compute(0, {"active": np.zeros((2, 4), np.float32)}, {"batch": 2}, Probe())


def test_what_a_segment_keeps_between_requests_is_not_let_go(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = package.segment(1)
    assert plain.ir is not None
    graph = replace(plain.ir, mutations=(Mutation(target="w1", tensor="second"),))

    def segment(self: Package, number: int) -> Segment:
        del self, number
        return replace(plain, ir=graph)

    monkeypatch.setattr(Package, "segment", segment)
    with pytest.raises(InputError, match="keeps `w1` between requests"):
        Stage(package, 1, make_engine("null", 1), weights=Weights.STREAMED)


@pytest.mark.parametrize("executor", ["in-process", "processes", "ray"])
def test_every_executor_streams_and_answers_the_same(package: Package, executor: str) -> None:
    requests = [example(batch=1 + n % 3, seed=n) for n in range(6)]
    found = list[list[bytes]]()
    for name, weights in (("in-process", Weights.RESIDENT), (executor, Weights.STREAMED)):
        options = Options(engine="null", threads=1, workers=1, weights=weights)
        with start_executor(name, package, options) as working:
            found.append([answer.outputs["y"].tobytes() for answer in working.run(requests)])
            assert working.incidents == ()
    assert found[0] == found[1]
