"""A missing extra is one error with its pip line."""

from __future__ import annotations

import sys

import pytest

from partwise.errors import MissingExtraError
from partwise.extras import require


def test_a_missing_extra_prints_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'partwise\[onnx\]'"):
        require("onnx_ir")


def test_an_installed_one_is_the_module_itself() -> None:
    import json.decoder

    assert require("json.decoder") is json.decoder
