"""Who sends what to whom, before and after a stage is divided."""

from __future__ import annotations

from partwise.runtime.route import CALLER, Piece, Route

LINE = Route(received=({CALLER: ("x",)}, {0: ("a",)}, {0: ("a",), 1: ("b",)}), returned=((), ("b",), ("c",)))
FIRST = (Piece(inputs=("x",), outputs=("h",)), Piece(inputs=("h", "x"), outputs=("a",)))
SECOND = (Piece(inputs=("a",), outputs=("i",)), Piece(inputs=("i",), outputs=("b",)))


def test_pieces_take_a_stages_place() -> None:
    route = LINE.divided(0, 3, FIRST)
    assert route.received == (
        {}, {4: ("a",)}, {4: ("a",), 1: ("b",)}, {CALLER: ("x",)}, {3: ("h",), CALLER: ("x",)},
    )  # fmt: skip
    assert route.active == (1, 2, 3, 4)
    assert route.readers[4] == (1, 2)
    assert route.readers[0] == ()


def test_pieces_return_what_the_stage_returned() -> None:
    assert LINE.divided(1, 3, SECOND).returned == ((), (), ("c",), (), ("b",))


def test_divisions_in_any_order_give_the_same() -> None:
    """A request may take the pieces of a stage that was divided earlier after those of one divided later."""
    one = LINE.divided(0, 3, FIRST).divided(1, 5, SECOND)
    other = LINE.divided(1, 5, SECOND)
    assert other.active == (0, 2, 5, 6)
    assert other.divided(0, 3, FIRST) == one
