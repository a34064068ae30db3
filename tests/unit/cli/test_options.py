"""Numbers on the command line: what is none is a usage error, whatever Python makes of it."""

from __future__ import annotations

import click
import pytest

from partwise.cli.option_types import THREADS, Finite
from partwise.cli.options import Bytes, Size, Stages
from partwise.cli.profile import Sizes


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Stages(), "²"),
        (Stages(), "1" * 5000),
        (Stages(), "2..²"),
        (Stages(), "0"),
        (Size(), "batch=²"),
        (Size(), "batch=" + "1" * 5000),
        (Sizes(), "1,²"),
        (Sizes(), "1,,2"),
        (Bytes(), "9" * 400 + "GiB"),
    ],
)
def test_no_number_is_a_usage_error(kind: click.ParamType[object], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_numbers_have_an_end() -> None:
    for kind, text in ((Finite(0), "nan"), (Finite(0), "inf"), (THREADS, "100000")):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)
    assert Finite(0).convert("1e-3", None, None) == 0.001


def test_numbers() -> None:
    assert Stages().convert("12", None, None) == 12
    assert Stages().convert("2..4", None, None) == range(2, 5)
    assert Size().convert("batch=4", None, None) == ("batch", 4)
    assert Sizes().convert("1, 8", None, None) == (1, 8)
