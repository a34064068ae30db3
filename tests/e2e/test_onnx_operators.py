"""Every example of a single operator that the onnx wheel brings: captured and cut, or refused in words of ours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import onnx_models
from onnx_exact import Exactness, example
from partwise.errors import PartwiseError
from partwise.extras import require

_SHARES = 8
_NEWEST_IR = 10
"""The examples are stamped with a format newer than onnxruntime reads; none of them needs what is new in it."""
_LEAST_CHECKED = 100
"""Of about 235 a share; onnxruntime has no kernel for many others, or noise for inputs makes no sense to them."""


@pytest.mark.slow
@pytest.mark.parametrize("share", range(_SHARES))
def test_single_operators(share: int, tmp_path: Path) -> None:
    checked, level = 0, "all" if share % 2 else "off"
    for case in _cases()[share::_SHARES]:
        case.model.ir_version = min(case.model.ir_version, _NEWEST_IR)
        exactness = _captured(onnx_models.save(case.model, tmp_path / "m.onnx"), level)
        if exactness is not None:
            exactness.check([{}], exactness.cuts())
            checked += 1
    assert checked >= _LEAST_CHECKED


def _captured(path: Path, level: str) -> Exactness | None:
    """The model if it can be captured, and onnxruntime can run it on noise; only our own errors are expected."""
    try:
        exactness = Exactness(path, level, threads=1)
        exactness.source.answers(exactness.graph, [example(exactness.graph, exactness.graph.hints)])
    except PartwiseError:
        return None
    return exactness


def _cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = require("onnx.backend.test.case.node").collect_testcases(None)
    return [case for case in found if case.model is not None]
