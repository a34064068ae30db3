"""Prices of stages between ideals, against their definition unit by unit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from partwise.planning.arrays import Floats, Pairs
from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.lattice import Lattice, lattice
from partwise.planning.ideals.loads import Loads
from partwise.planning.ideals.moves import Moves, Prices
from partwise.planning.ideals.reach import Reach
from partwise.planning.ideals.vectors import Vectors


def instance(seed: int, units: int = 7) -> Instance:
    """A random problem whose values have several readers, some of them behind the maker as in a backward pass."""
    random = np.random.default_rng(seed)
    edges = np.array([(i, j) for i in range(units) for j in range(i + 1, units) if random.random() < 0.35]).reshape(
        -1, 2
    )
    makers = random.integers(0, units, 6)
    readers = sorted({(int(random.integers(0, units)), value) for value in range(6) for _ in range(3)})
    needs = sorted({(int(random.integers(0, units)), item) for item in range(3) for _ in range(2)})

    def channel() -> Channel:
        amounts = (random.integers(0, 9, count).astype(float) for count in (units, 6, 6, 3))
        work, receive, send, again = amounts
        return Channel(work=work, receive=receive, send=send, again=again, fixed=float(random.integers(0, 3)))

    return Instance(
        edges=edges.astype(np.int64),
        maker=makers.astype(np.int64),
        readers=Pairs(*np.array(readers, np.int64).T),
        needs=Pairs(*np.array(needs, np.int64).T),
        counts=(2, 2),
        load=(channel(), channel()),
        room=(np.inf, np.inf),
        held=channel(),
        value_bytes=np.zeros(6),
        working=np.zeros(units),
        is_simple=np.zeros(units, bool),
        nodes=np.arange(units).repeat(2).reshape(-1, 2),
    )


def price(problem: Instance, channel: Channel, stage: set[int]) -> float:
    """What a stage pays, by the definition."""
    total = channel.fixed + sum(channel.work[unit] for unit in stage)
    readers, needs = _by_item(problem.readers), _by_item(problem.needs)
    for value, maker in enumerate(problem.maker.tolist()):
        inside, outside = readers.get(value, set()) & stage, readers.get(value, set()) - stage
        total += channel.receive[value] * bool(inside and maker not in stage)
        total += channel.send[value] * bool(outside and maker in stage)
    return float(total + sum(channel.again[item] for item, users in needs.items() if users & stage))


def _by_item(pairs: Pairs) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for unit, item in zip(pairs.unit.tolist(), pairs.item.tolist(), strict=True):
        found.setdefault(item, set()).add(unit)
    return found


def each_pair(problem: Instance, made: Lattice, say: Callable[[int, int, Floats, set[int]], None]) -> None:
    """Say the price of every stage between two ideals, in every channel."""
    loads = Loads(made, (*problem.load, problem.held))
    sets = [set(made.between(0, ideal).tolist()) for ideal in range(len(made))]
    for block in range(len(made.blocks) + 1):
        starts = np.arange(made.starts[block], made.starts[block + 1])
        ends = np.arange(starts[0], len(made))
        prices, contained = loads.prices(block, starts, ends), loads.contains(block, starts, ends)
        for row, start in enumerate(starts.tolist()):
            for column, end in enumerate(ends.tolist()):
                assert contained[row, column] == (sets[start] < sets[end])
                if contained[row, column]:
                    say(start, end, prices[:, row, column], sets[end] - sets[start])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("most", [0, 1000])
def test_prices_are_those_of_the_definition(seed: int, most: int) -> None:
    problem = instance(seed)

    def check(start: int, end: int, found: Floats, stage: set[int]) -> None:
        del start, end
        expected = [price(problem, channel, stage) for channel in (*problem.load, problem.held)]
        assert found.tolist() == pytest.approx(expected)

    each_pair(problem, lattice(problem, most), check)


@pytest.mark.parametrize("seed", range(20))
def test_the_quick_test_never_denies_a_stage(seed: int) -> None:
    problem = instance(seed)
    made = lattice(problem, 1000)
    reach = Reach(made, problem.load, problem.held, problem.room)
    prices = Prices(made, reach.work, reach.borders)

    def check(start: int, end: int, found: Floats, stage: set[int]) -> None:
        del stage
        first, last = np.array([start]), np.array([end])
        asked = np.zeros(1, int), np.array([float(found[0]) + 1e-9 - problem.load[0].fixed])
        assert prices.reached(Moves([first], [last]), *asked).tolist() == [True]
        assert prices.reaching(Moves([last], [first]), *asked).tolist() == [True]

    each_pair(problem, made, check)


@pytest.mark.parametrize("seed", range(60))
def test_the_quick_test_never_denies_a_chain(seed: int) -> None:
    """Ideals, vectors and all: a chain of stages below a limit is found from both ends, with just its devices too."""
    problem, random = instance(seed), np.random.default_rng(seed)
    made = lattice(problem, 1000)
    sets = [set(made.between(0, ideal).tolist()) for ideal in range(len(made))]
    for _ in range(10):
        kinds = [int(kind) for kind in random.permutation([0, 0, 1, 1])[: int(random.integers(1, 5))]]
        chain = [0]
        for _ in kinds[1:]:
            later = [ideal for ideal in range(len(made) - 1) if sets[ideal] > sets[chain[-1]]]
            chain += [int(random.choice(later))] if later else []
        chain.append(len(made) - 1)
        stages = [(kind, sets[end] - sets[start]) for kind, start, end in zip(kinds, chain, chain[1:], strict=False)]
        limit = max(price(problem, problem.load[kind], stage) for kind, stage in stages) + 1e-9
        used = [
            tuple([kind for kind, _ in stages[:count]].count(each) for each in (0, 1)) for count in range(len(chain))
        ]
        for counts, exactly in (((2, 2), None), ((2, 2), len(stages)), (used[-1], None)):
            vectors = Vectors(counts, exactly)
            reach = Reach(made, problem.load, problem.held, problem.room)
            both = reach.forward(vectors, limit) & reach.backward(vectors, limit)
            assert all(both[vectors.all.index(vector), ideal] for vector, ideal in zip(used, chain, strict=True))
