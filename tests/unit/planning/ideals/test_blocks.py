"""Partial orders in blocks, and their ideals."""

from __future__ import annotations

import numpy as np
import pytest

from partwise.planning.ideals.blocks import Block, blocks, topological


def found(units: int, *edges: tuple[int, int], most: int = 1000, others: tuple[list[int], ...] = ()) -> list[Block]:
    array = np.array(edges, np.int64).reshape(-1, 2)
    made = [np.array(order) for order in others]
    return list(blocks(topological(units, array), array, most, lambda: made))


def test_a_chain_has_a_block_a_unit() -> None:
    assert [block.units.tolist() for block in found(4, (0, 1), (1, 2), (2, 3))] == [[0], [1], [2], [3]]


def test_two_branches_are_one_block() -> None:
    made = found(5, (0, 1), (0, 2), (2, 3), (1, 4), (3, 4))
    assert [block.units.tolist() for block in made] == [[0], [1, 2, 3], [4]]
    assert [len(block.bits) for block in made] == [1, 5, 1]  # the non-empty ideals of 1 beside 2 → 3
    assert made[1].bits[-1].all()
    assert (np.diff(made[1].bits.sum(axis=1)) >= 0).all()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_units_without_an_order_have_every_set(width: int) -> None:
    assert sum(len(block.bits) for block in found(width)) == 2**width - 1


def test_too_many_ideals_leave_the_prefixes_of_the_orders() -> None:
    alone = found(6, most=10)[0]
    assert (len(alone.bits), alone.complete) == (6, False)
    both = found(6, most=10, others=([5, 4, 3, 2, 1, 0],))[0]
    assert len(both.bits) == 11  # six prefixes each, and the whole is in both
    assert both.bits[-1].all()


def test_no_more_ideals_are_made_than_asked_for() -> None:
    """Of 300 units side by side, sets of three alone are 4.5 million: looking for them took a gigabyte and a minute."""
    alone = found(300, most=50_000)[0]
    assert (len(alone.bits), alone.complete) == (300, False)


def test_equal_blocks_are_enumerated_once() -> None:
    made = found(8, (0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6), (6, 7))
    wide = [block for block in made if len(block.units) > 1]
    assert len(wide) == 2
    assert wide[0].bits is wide[1].bits


def test_a_cycle_has_no_order() -> None:
    with pytest.raises(ValueError, match="cycle"):
        topological(2, np.array([(0, 1), (1, 0)]))
