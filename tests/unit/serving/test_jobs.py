"""Which requests run next, and beside which: the queue alone."""

from __future__ import annotations

import threading
import time

import pytest

from partwise.serving.jobs import END, BusyError, Job, Queue


def job(rows: int = 1, *, kind: int = 0, alone: bool = False) -> Job:
    return Job(values={}, rows=rows, kind=(("sequence", kind),), arrived_s=time.monotonic(), alone=alone)


def queue(*jobs: Job, max_rows: int = 4, delay_s: float = 0.0, room: int = 99) -> Queue:
    made = Queue(max_rows=max_rows, delay_s=delay_s, room=room)
    for each in jobs:
        made.put(each)
    return made


def taken(made: Queue) -> list[list[int]]:
    """Batches, as rows, until nothing waits."""
    found = list[list[int]]()
    while len(made):
        batch = made.take([])
        assert isinstance(batch, list)
        found.append([each.rows for each in batch])
    return found


def test_requests_are_joined_in_their_order_up_to_the_limit() -> None:
    assert taken(queue(job(1), job(2), job(1), job(3))) == [[1, 2, 1], [3]]


def test_one_larger_than_the_limit_runs_by_itself() -> None:
    assert taken(queue(job(9), job(1), job(1))) == [[9], [1, 1]]


def test_a_smaller_one_may_pass_one_that_does_not_fit() -> None:
    assert taken(queue(job(2), job(3), job(2))) == [[2, 2], [3]]


def test_only_equal_sizes_are_joined() -> None:
    assert taken(queue(job(1, kind=7), job(1, kind=8), job(1, kind=7))) == [[1, 1], [1]]


def test_without_batching_each_runs_by_itself() -> None:
    assert taken(queue(job(), job(), max_rows=1)) == [[1], [1]]


def test_a_suspect_runs_with_nothing_beside_it() -> None:
    made = queue(job(1))
    made.put_back([job(2), job(3)])
    assert made.take([[job()]]) is None
    batch = made.take([])
    assert isinstance(batch, list)
    assert [each.rows for each in batch] == [2]
    assert made.take([batch]) is None
    assert taken(made) == [[3], [1]]


def test_one_waits_for_others_here_only_while_nothing_is_under_way() -> None:
    made = queue(job(), delay_s=0.05)
    later = made.take([[job()]])
    assert isinstance(later, float)
    assert 0 < later <= 0.05
    start = time.monotonic()
    assert isinstance(made.take([]), list)
    assert time.monotonic() - start > 0.02


def test_a_full_batch_does_not_wait() -> None:
    made = queue(job(2), job(2), delay_s=60)
    assert taken(made) == [[2, 2]]


def test_the_client_that_left_is_not_computed() -> None:
    gone = job()
    made = queue(gone, job(2))
    gone.future.cancel()
    assert made.take([])[0].rows == 2  # pyright: ignore


def test_no_room_and_the_end() -> None:
    made = queue(job(), room=1)
    with pytest.raises(BusyError, match="no room"):
        made.put(job())
    made.close()
    with pytest.raises(BusyError, match="is ending"):
        made.put(job())
    assert isinstance(made.take([]), list)
    assert made.take([]) is END


def test_an_interruption_ends_the_stream_once_and_loses_nothing() -> None:
    made = queue(job())
    made.interrupt()
    assert made.take([]) is END
    assert taken(made) == [[1]]


def test_it_wakes_up() -> None:
    made = queue()
    threading.Timer(0.05, lambda: made.put(job(3))).start()
    batch = made.take([])
    assert isinstance(batch, list)
    assert batch[0].rows == 3
