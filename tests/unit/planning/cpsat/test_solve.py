"""Placements by constraint programming: what it may answer, and what it says where it cannot."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from partwise.errors import MissingExtraError
from partwise.planning.arrays import Pairs
from partwise.planning.cpsat import solve_cpsat
from partwise.planning.ideals import Channel, Instance, Placed, solve_ideals


def line(work: list[float], counts: tuple[int, ...] = (2,), transfer: float = 0.0) -> Instance:
    """A chain of units, each of which reads the value of the one before it."""
    units = len(work)
    edges = np.array([(unit, unit + 1) for unit in range(units - 1)], np.int64).reshape(-1, 2)
    moved, nothing = np.full(units - 1, transfer), np.zeros(units - 1)
    load = Channel(work=np.array(work), receive=moved, send=moved, again=np.zeros(0))
    return Instance(
        edges=edges,
        maker=edges[:, 0],
        readers=Pairs(edges[:, 1], np.arange(units - 1)),
        needs=Pairs(*np.zeros((2, 0), np.int64)),
        counts=counts,
        load=(load,) * len(counts),
        room=(inf,) * len(counts),
        held=Channel(work=np.ones(units), receive=nothing, send=nothing, again=np.zeros(0)),
        value_bytes=nothing,
        working=np.zeros(units),
        is_simple=np.zeros(units, bool),
        nodes=np.arange(units).repeat(2).reshape(-1, 2),
    )


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ortools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ortools", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'partwise\[solvers\]'"):
        solve_cpsat(line([1, 2, 3]), contiguous=False)


class TestWithTheExtra:
    @pytest.fixture(autouse=True)
    def solvers(self) -> None:
        pytest.importorskip("ortools", reason="the extra `solvers`")

    def test_a_device_may_hold_what_does_not_follow(self) -> None:
        instance = line([5, 3, 3, 1])
        in_line, anywhere = (solve_cpsat(instance, contiguous=contiguous) for contiguous in (True, False))
        assert (in_line.value, anywhere.value) == (7, 6)
        assert in_line.proved
        assert anywhere.proved
        assert sorted(stage.units for stage in anywhere.stages) == [(0, 3), (1, 2)]

    def test_transfers_count_once_at_each_end(self) -> None:
        assert solve_cpsat(line([5, 3, 3, 1], transfer=0.5), contiguous=False).value == 7
        assert solve_cpsat(line([5, 3, 3, 1], transfer=9), contiguous=False).stages == (
            Placed(kind=0, units=(0, 1, 2, 3)),
        )

    def test_nothing_fits(self) -> None:
        found = solve_cpsat(replace(line([1, 1, 1, 1]), room=(1.0,)), contiguous=False)
        assert (found.stages, found.value, found.bound) == ((), inf, inf)
        assert found.proved

    def test_memory_of_what_is_alive(self) -> None:
        instance = replace(line([1, 1, 1, 1]), room=(4.0,), working=np.array([0.0, 3.0, 0.0, 0.0]))
        assert solve_cpsat(instance, contiguous=False).value == 3  # unit 1 is alone on its device
        assert solve_cpsat(instance, contiguous=True).value == inf  # in a line it has a neighbour
        crossing = replace(line([1, 1, 1, 1]), room=(5.0,), value_bytes=np.array([0.0, 4.0, 0.0]))
        assert solve_cpsat(crossing, contiguous=True).value == 3  # 2 + 2 would send 4 bytes beside 2 of weights

    def test_stages_that_do_not_fit_after_all_are_asked_again(self) -> None:
        seen: list[tuple[int, ...]] = []

        def check(stages: object) -> list[int]:
            assert isinstance(stages, tuple)
            seen.extend(stage.units for stage in stages)
            return [place for place, stage in enumerate(stages) if stage.units in ((0, 3), (1, 2))]

        found = solve_cpsat(line([5, 3, 3, 1]), contiguous=False, check=check)
        assert (found.value, found.proved) == (7, True)
        assert (0, 3) in seen

    def test_a_hint_that_does_not_fit_is_left(self) -> None:
        instance = line([5, 3, 3, 1])
        hint = solve_ideals(instance, most=100)
        assert hint is not None
        tight = replace(instance, room=(3.0,), held=replace(instance.held, work=np.array([1.0, 1.0, 2.0, 1.0])))
        found = solve_cpsat(tight, contiguous=False, hint=hint)
        assert found.proved
        assert all(sum(tight.held.work[list(stage.units)]) <= 3 for stage in found.stages)

    def test_out_of_steps_the_hint_is_the_answer(self) -> None:
        instance = line([float(3 + unit % 7) for unit in range(60)], counts=(4,), transfer=0.25)
        hint = solve_ideals(instance, most=100)
        assert hint is not None
        found = solve_cpsat(instance, contiguous=False, hint=hint, effort=1)
        assert found.bound <= found.value <= hint.value
