"""`bench`: a package beside the uncut model, everything measured in turns, so that a shared machine's moods cancel.

    ceiling       as many uncut replicas as stages can work at once, each on a stage's threads: a pipeline that
                  loses nothing reaches it
    predicted     from lone stages and the replicas' contention (`predict`), beside the measured rate

Rates are medians over rounds; shares are medians of the rounds' own ratios.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from partwise.measurement.case import Case, Settings, open_case, refuse_memory
from partwise.measurement.record import Bench
from partwise.measurement.replica import replicas
from partwise.measurement.rounds import Loaded, Rounds
from partwise.packaging import Package
from partwise.runtime.executors import Options, Progress, start_executor
from partwise.runtime.trace import Trace

__all__ = ["bench_package"]


def bench_package(package: Package, settings: Settings, on_progress: Progress | None = None) -> Bench:
    """Measure a package, and the uncut model beside it.

    Args:
        package: opened.
        settings: how.
        on_progress: called with (what, done, total).

    Raises:
        InputError: settings that are not usable, or less memory than the replicas need.
        RunError: a stage or a replica failed.
    """
    case = open_case(package, settings)
    counts = (*[case.threads] * case.at_once, case.threads * case.at_once) if settings.uncut else ()
    refuse_memory(package, len(counts) + len(settings.executors))
    with (
        replicas(package, case.uncut_engine, counts, settings.sizes) as uncut,
        _executors(case) as executors,
    ):
        rounds = Rounds(case, uncut, executors)
        for number in range(settings.rounds):
            rounds.turn(reverse=bool(number % 2))
            if on_progress is not None:
                on_progress("measure", number + 1, settings.rounds)
        return rounds.record()


@contextlib.contextmanager
def _executors(case: Case) -> Generator[dict[str, Loaded]]:
    """Every executor with the package loaded and warm."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Loaded] = {}
        for name in case.settings.executors:
            trace = Trace()
            options = Options(
                engine=",".join(case.engines), threads=case.threads, in_flight=case.in_flight, trace=trace
            )
            executor = stack.enter_context(start_executor(name, case.package, options))
            made[name] = Loaded(executor, trace, executor.ready())
            for _ in executor.run([case.inputs] * (2 * case.in_flight)):
                pass
        yield made
