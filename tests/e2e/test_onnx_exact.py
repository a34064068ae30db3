"""Chain = whole, bit for bit, at every single cut of small ONNX models, each with a feature that cuts get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnx_models
from onnx_exact import Exactness, example
from partwise.profiling import profile

_TOLERANCE = 1e-5  # relative, where a level's fusion takes another kernel than the source's
_SIZES = ({}, {"batch": 1, "sequence": 1, "H": 32, "W": 48}, {"batch": 3, "sequence": 7, "n": 5, "H": 40, "W": 40})


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", ["off", "extended", "all"])
@pytest.mark.parametrize("case", onnx_models.CASES)
def test_every_cut(case: str, level: str, threads: int, tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.CASES[case](), tmp_path / f"{case}.onnx")
    exactness = Exactness(path, level, threads)
    assert exactness.check(_SIZES, exactness.cuts()) <= (0.0 if level == "all" else _TOLERANCE)


@pytest.mark.parametrize("case", ["conv_net", "transformer", "nested", "sequences"])
def test_all_cuts_at_once(case: str, tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.CASES[case](), tmp_path / f"{case}.onnx")
    exactness = Exactness(path, "all", threads=2)
    inputs = example(exactness.graph, exactness.graph.hints)
    apart = exactness.run([[index] for index in exactness.contraction.placed], inputs)
    assert exactness.difference(inputs, apart) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", onnx_models.LIGHT)
def test_light_graphs(name: str, tmp_path: Path) -> None:
    """The nine graphs of the onnx wheel at full size, with noise for weights; some 30 cuts of each."""
    path = onnx_models.save(onnx_models.light(name), tmp_path / "light.onnx")
    macs = set[int]()
    for level, most in (("extended", 6), ("all", 30)):
        exactness = Exactness(path, level, threads=2)
        assert exactness.check([{}], exactness.cuts(most)) <= _TOLERANCE
        macs.add(profile(exactness.graph).macs)
    assert len(macs) == 1


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_small_light_graphs(name: str, tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.light(name), tmp_path / "light.onnx")
    exactness = Exactness(path, "all", threads=2)
    assert exactness.check([{}], exactness.cuts(most=6)) == 0.0
