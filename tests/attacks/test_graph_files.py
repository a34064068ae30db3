"""Saved graphs that somebody changed: each is planned, or refused by an error of ours; nothing else ever happens."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from graphs import decoder, transformer
from partwise import api
from partwise.errors import PartwiseError
from partwise.ir import graph_from_data, graph_to_data

GRAPHS = [
    json.loads(json.dumps(graph_to_data(graph)))
    for graph in (
        transformer(1, 16, 4, vocabulary=50),
        decoder(1, capacity=16, heads=2, width=4, symbolic=True),
    )
]
_STRANGE = (0, -1, 1, 2**40, None, True, 1.5, "x", "batch", [], [1], {"ref": "nope"})


def places(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in plain data."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [here, *(path for key, value in pairs for path in places(value, (*here, key)))]


def changed(data: Any, random: Random) -> Any:
    """The same with something gone, something strange, or something in another place."""
    data = deepcopy(data)
    *way, last = random.choice(places(data)[1:])
    inside = data
    for key in way:
        inside = inside[key]
    match random.randrange(3):
        case 0:
            del inside[last]
        case 1:
            inside[last] = random.choice(_STRANGE)
        case _:
            other = data
            for key in random.choice(places(data)):
                other = other[key]
            inside[last] = deepcopy(other)
    return data


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_graph_is_planned_or_refused(seed: int) -> None:
    random, planned = Random(seed), 0
    for _ in range(60):
        try:
            made = api.plan(graph_from_data(changed(random.choice(GRAPHS), random)), stages=2)
            planned += bool(made.stages)
        except PartwiseError:
            continue
    assert 0 < planned < 60
