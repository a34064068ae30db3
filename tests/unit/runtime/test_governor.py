"""The governor on a simulated bus: under the limit, nobody starves, no slower than the best fixed number of workers.

The bus: every running task asks for its bytes at its own speed; where all together ask for more than the roof, each
gets the same share of what it asks. Nothing here was measured on a machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.errors import InputError
from partwise.runtime.governor import Accounted, Chain, Governor, Sample, microbatch

ROOF = 50e9
"""Bytes a second: what the measuring machine's bus carries."""
STEP_S = 0.001


@dataclass
class Task:
    size: int
    """Bytes it moves by our account."""
    alone_s: float
    """What it takes with the bus to itself."""
    factor: float = 1.0
    """Real traffic, by our account."""
    left: float = 1.0
    asked_s: float = 0.0
    begun_s: float = 0.0

    @property
    def demand(self) -> float:
        return self.size * self.factor / self.alone_s


@dataclass
class Outcome:
    carried: list[float] = field(default_factory=list[float])
    """Bytes of each step."""
    done: list[Task] = field(default_factory=list[Task])
    waits_s: list[float] = field(default_factory=list[float])

    def most(self, window_s: float, after_s: float = 0.0) -> float:
        """The highest rate over any window."""
        steps, first = round(window_s / STEP_S), round(after_s / STEP_S)
        sums = [sum(self.carried[i : i + steps]) for i in range(first, len(self.carried) - steps, max(1, steps // 10))]
        return max(sums) / window_s


def simulate(
    next_task: Callable[[], Task],
    *,
    workers: int,
    seconds: float,
    governor: Governor | None = None,
    others: Callable[[float], float] = lambda now: 0.0,  # noqa: ARG005
    whole_bus: bool = True,
) -> Outcome:
    """So many workers that always have work, for a while."""
    outcome, running, waiting = Outcome(), list[Task](), deque[Task]()
    sampled = 0.0
    for step in range(round(seconds / STEP_S)):
        now = step * STEP_S
        while len(waiting) + len(running) < workers:
            task = next_task()
            task.asked_s = now
            waiting.append(task)
        while waiting and (governor is None or governor.wait_s(now) == 0):
            task = waiting.popleft()
            task.begun_s = now
            outcome.waits_s.append(now - task.asked_s)
            running.append(task)
            if governor is not None:
                governor.begin(now, task.size)
        asked = sum(task.demand for task in running) + others(now)
        slow = min(1.0, ROOF / asked) if asked else 1.0
        carried = others(now) * slow * STEP_S
        for task in running:
            part = min(task.left, STEP_S * slow / task.alone_s)
            task.left -= part
            carried += part * task.size * task.factor
        outcome.carried.append(carried)
        outcome.done += [task for task in running if task.left <= 1e-9]
        running = [task for task in running if task.left > 1e-9]
        if governor is not None and whole_bus and step % 100 == 99:
            measured = sum(outcome.carried[-100:]) / 0.1
            governor.observe(Sample(bytes_per_s=measured, provider="resctrl"))
            sampled = measured
    assert governor is None or not whole_bus or sampled > 0
    return outcome


def alike(size: int, alone_s: float, factor: float = 1.0) -> Callable[[], Task]:
    return lambda: Task(size, alone_s, factor)


def best_static(make: Callable[[], Task], limit: float, seconds: float, most: int = 8) -> int:
    """Tasks done by the best fixed number of workers that keeps the limit."""
    found = [simulate(make, workers=count, seconds=seconds) for count in range(1, most + 1)]
    return max((len(one.done) for one in found if one.most(0.25) <= limit * 1.001), default=0)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize(("size", "alone_s"), [(50_000_000, 0.010), (20_000_000, 0.003), (400_000_000, 0.030)])
@pytest.mark.parametrize("whole_bus", [True, False])
def test_under_the_limit_and_no_slower_than_the_best_static_choice(
    share: float, size: int, alone_s: float, whole_bus: bool
) -> None:
    make, governor = alike(size, alone_s), Governor(roof_bytes_per_s=ROOF, share=share)
    found = simulate(make, workers=8, seconds=4.0, governor=governor, whole_bus=whole_bus)
    limit = governor.limit_bytes_per_s
    window_s = 1.0
    assert found.most(window_s, after_s=1.0) <= limit * 1.05 + size / window_s
    assert len(found.done) >= 0.95 * best_static(make, limit, 4.0)


def test_work_that_never_meets_the_limit_is_never_held_back() -> None:
    make = alike(10_000_000, 0.010)  # 8 workers ask for 8 GB/s of 40
    governed = simulate(make, workers=8, seconds=2.0, governor=Governor(roof_bytes_per_s=ROOF, share=0.8))
    assert len(governed.done) == len(simulate(make, workers=8, seconds=2.0).done)


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_traffic_that_was_not_accounted_is_followed(factor: float) -> None:
    governor = Governor(roof_bytes_per_s=ROOF, share=0.5)
    found = simulate(alike(20_000_000, 0.005, factor), workers=16, seconds=8.0, governor=governor)
    assert found.most(1.0, after_s=4.0) <= governor.limit_bytes_per_s * 1.05
    assert found.most(1.0, after_s=4.0) >= governor.limit_bytes_per_s * 0.90


def test_others_on_the_bus_are_given_way_to_and_taken_over_from() -> None:
    governor = Governor(roof_bytes_per_s=ROOF, share=0.6)
    busy = simulate(
        alike(20_000_000, 0.005), workers=8, seconds=9.0, governor=governor,
        others=lambda now: 20e9 if now < 5 else 0.0,
    )  # fmt: skip
    assert busy.most(1.0, after_s=2.0) <= governor.limit_bytes_per_s * 1.05
    late = sum(busy.carried[-1000:])
    assert late >= governor.limit_bytes_per_s * 0.90


def test_a_large_task_among_small_ones_does_not_starve() -> None:
    sizes = deque([2_000_000] * 50 + [800_000_000] + [2_000_000] * 10_000)
    governor = Governor(roof_bytes_per_s=ROOF, share=0.2)
    found = simulate(lambda: Task(sizes.popleft(), 0.002), workers=4, seconds=3.0, governor=governor, whole_bus=False)
    assert any(task.size == 800_000_000 for task in found.done)
    assert max(found.waits_s) <= 800_000_000 / governor.limit_bytes_per_s + 0.1


@settings(max_examples=30)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_what_is_admitted_is_bounded(sizes: list[int], share: float) -> None:
    """Over any time: rate · T + burst + the largest task; and everything is admitted in the end."""
    governor, now = Governor(roof_bytes_per_s=ROOF, share=share), 0.0
    begun = list[tuple[float, int]]()
    for size in sizes:
        now += governor.wait_s(now)
        assert governor.wait_s(now) == pytest.approx(0, abs=1e-6)
        governor.begin(now, size)
        begun.append((now, size))
    limit = governor.limit_bytes_per_s
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            admitted = sum(size for _, size in begun[first : last + 1])
            time_s = begun[last][0] - begun[first][0]
            assert admitted <= limit * (time_s + governor.burst_s) + 2 * max(sizes) + 1


@given(st.integers(1, 10**9), st.integers(1, 10**7), st.floats(0.1, 1e4), st.floats(1e6, 1e11))
def test_a_microbatch_is_the_smallest_that_fits(weights: int, row: int, rows_per_s: float, limit: float) -> None:
    def moved(rows: int) -> float:
        return rows_per_s * (weights / rows + row)

    found = microbatch(
        weight_bytes=weights, row_bytes=row, rows_per_s=rows_per_s, limit_bytes_per_s=limit, largest=4096
    )
    assert 1 <= found <= 4096
    assert moved(found) <= limit * (1 + 1e-9) or found == 4096
    assert found == 1 or moved(found - 1) > limit * (1 - 1e-9), "fewer rows would have done"


def test_the_first_provider_that_reads_is_believed() -> None:
    class Fixed:
        def __init__(self, name: str, value: float | None) -> None:
            self.name, self.value = name, value

        def read(self, now_s: float) -> float | None:
            del now_s
            return self.value

    mute, loud = Fixed("resctrl", None), Fixed("perf", 3.0)
    assert Chain([mute, loud, Fixed("accounted", 1.0)]).sample(0) == Sample(bytes_per_s=3.0, provider="perf")
    assert Chain([mute]).sample(0) is None


def test_our_own_account_is_of_the_last_second() -> None:
    accounted = Accounted()
    accounted.add(0.0, 0.5, 100)
    accounted.add(0.5, 1.5, 100)
    accounted.add(1.9, 1.9, 7)
    assert accounted.read(2.0) == 50 + 7


@pytest.mark.parametrize(("share", "roof"), [(0, 1.0), (1.1, 1.0), (-1, 1.0), (0.5, 0)])
def test_what_is_no_limit(share: float, roof: float) -> None:
    with pytest.raises(InputError):
        Governor(roof_bytes_per_s=roof, share=share)
