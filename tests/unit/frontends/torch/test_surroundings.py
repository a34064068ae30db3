"""What is switched off while a module is exported is as it was afterwards."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from partwise.frontends.torch.surroundings import quiet, without_cache  # noqa: E402


def test_the_cache_is_off_in_every_submodule_and_on_again() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    shared, own = SimpleNamespace(use_cache=True), SimpleNamespace(use_cache=False)
    module.config = module[0].config = shared
    module[1].config = own
    with contextlib.suppress(ZeroDivisionError), without_cache(module):
        assert not shared.use_cache
        raise ZeroDivisionError
    assert shared.use_cache
    assert not own.use_cache


def test_nothing_is_printed_or_warned(capsys: pytest.CaptureFixture[str]) -> None:
    level = logging.getLogger("torch").level
    with quiet():
        warnings.warn("of no use", stacklevel=1)
        print("a graph", file=sys.stderr)
    assert capsys.readouterr().err == ""
    assert logging.getLogger("torch").level == level
