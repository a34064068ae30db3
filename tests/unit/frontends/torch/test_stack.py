"""Calls deep in the stack cost no memory mapping."""

import resource
from collections.abc import Callable

import pytest

from partwise.frontends.torch.stack import with_room

_DEEP, _REPEATS = 400, 300


def _leaf() -> None: ...


def _descend(depth: int) -> None:
    """At each depth the same call many times: at some depths the call crosses the end of a chunk."""
    for _ in range(_REPEATS):
        _leaf()
    if depth:
        _descend(depth - 1)


def _page_faults(call: Callable[[], object]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_calls_at_the_end_of_a_chunk_map_no_memory() -> None:
    _descend(_DEEP)
    assert _page_faults(lambda: with_room(lambda: _descend(_DEEP))) < _REPEATS


def test_results_and_errors_pass_through() -> None:
    def fails() -> None:
        raise ValueError("passes")

    assert with_room(lambda: 3) == 3
    with pytest.raises(ValueError, match="passes"):
        with_room(fails)
