"""A source that has nothing now does not keep finished answers waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from partwise.runtime.executors import EXECUTORS, Options
from tests.packages import example, small_package
from tests.remote import start_executor


@pytest.mark.parametrize("kind", EXECUTORS)
def test_answers_come_while_the_source_is_idle(kind: str, tmp_path: Path) -> None:
    """Each request is offered only once the one before it was answered, though more may be in flight."""
    package = small_package(tmp_path / "package", "null")
    answered = list[int]()
    asked = 0

    def live() -> Iterator[dict[str, np.ndarray] | None]:
        nonlocal asked
        for number in range(5):
            while len(answered) < number:
                asked += 1
                yield None
            yield example(seed=number)

    with start_executor(kind, package, Options(engine="null", threads=1, in_flight=4)) as executor:
        for answer in executor.run(live()):
            answered.append(answer.request)
        whole = [answer.outputs["y"].tobytes() for answer in executor.run(example(seed=n) for n in range(5))]
    assert answered == list(range(5))
    assert asked >= 4
    assert len(set(whole)) == 5
