"""Arguments survive their JSON form to the last bit; anything else is refused."""

from __future__ import annotations

import math

import pytest

from partwise.errors import GraphError
from partwise.ir import Enum, Ref, Sym
from partwise.ir.arguments import Argument, decode, encode, references


@pytest.mark.parametrize(
    "argument",
    [
        None,
        True,
        -7,
        0.1,
        -math.inf,
        complex(0.1, -math.inf),
        "none",
        Ref("hidden"),
        Sym("batch*2"),
        Enum("dtype", "float32"),
        (Ref("a"), (1, Sym("batch")), None),
    ],
)
def test_an_argument_comes_back_as_it_was(argument: Argument) -> None:
    decoded = decode(encode(argument))
    assert decoded == argument
    assert type(decoded) is type(argument)


def test_not_a_number_comes_back_too() -> None:
    decoded = decode(encode(math.nan))
    assert isinstance(decoded, float)
    assert math.isnan(decoded)


@pytest.mark.parametrize(
    "data",
    [
        1.5,
        {},
        {"ref": 1},
        {"ref": "a", "sym": "b"},
        {"float": "one"},
        {"float": "0x1p99999"},
        {"complex": ["0x1p0"]},
        {"enum": "module:os"},
        {"enum": "dtype"},
        {"call": "os.system"},
        [[[[[[[[1]]]]]]]],
    ],
)
def test_what_encode_never_writes_is_refused(data: object) -> None:
    with pytest.raises(GraphError):
        decode(data)


def test_references_are_found_in_order_with_repeats() -> None:
    assert list(references(7)) == []
    assert list(references((Ref("b"), (Ref("a"), Ref("b"))))) == ["b", "a", "b"]
