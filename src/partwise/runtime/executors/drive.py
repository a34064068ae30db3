"""Drive a stream of requests: what every executor does the same way, between the schedule and the hands that work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from partwise.packaging import Manifest
from partwise.runtime.executors.executor import Answer, Values
from partwise.runtime.schedule import Collect, Compute, Ended, Fetch, Finished, Instruction, Offered, Release, Schedule
from partwise.runtime.sizes import bind_sizes, check_values

__all__ = ["Hands", "drive"]


class Hands(Protocol):
    """What an executor can do; each call obeys one instruction of the schedule."""

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:
        """Send the model's inputs, which fit, to whoever reads them."""
        ...

    def compute(self, request: int, stage: int, sizes: Mapping[str, int]) -> None:
        """Start a task."""
        ...

    def finished(self) -> Finished:
        """Wait until some task is finished."""
        ...

    def collect(self, request: int, stage: int) -> Values:
        """What the model returns from a stage that has finished, by tensor name."""
        ...

    def release(self, request: int, sender: int) -> None:
        """Forget what a sender sent."""
        ...


@dataclass(slots=True)
class _Underway:
    sizes: dict[str, int]
    returned: dict[str, np.ndarray]


_END = object()


def drive(manifest: Manifest, schedule: Schedule, requests: Iterable[Values | None], hands: Hands) -> Iterator[Answer]:
    """Answers in the order of the requests. A `None` among them is no request: there is none now, ask again later.

    Raises:
        InterfaceMismatchError: a request that does not fit the model.
        RunError: whatever goes wrong in the hands.
    """
    stream, number = iter(requests), 0
    owed = False  # a Fetch that found nothing, tried again after whatever happens next
    underway: dict[int, _Underway] = {}
    todo: deque[Instruction] = deque(schedule.begin())
    while todo or not schedule.done:
        if not todo:
            if underway or not owed:
                todo.extend(schedule.handle(hands.finished()))
            if owed:
                todo.append(Fetch())
            continue
        match todo.popleft():
            case Fetch():
                inputs = next(stream, _END)
                owed = inputs is None
                if inputs is _END:
                    todo.extend(schedule.handle(Ended()))
                elif inputs is not None:
                    values = cast(Values, inputs)
                    todo.extend(schedule.handle(Offered(number)))
                    underway[number] = _Underway(_offer(manifest, hands, number, values), {})
                    number += 1
            case Compute(request, stage):
                hands.compute(request, stage, underway[request].sizes)
            case Collect(request, stage):
                underway[request].returned.update(hands.collect(request, stage))
            case Release(request, sender):
                hands.release(request, sender)
            case _ as answered:
                done = underway.pop(answered.request)
                outputs = {output.name: done.returned[output.tensor] for output in manifest.outputs}
                yield Answer(answered.request, done.sizes, outputs)


def _offer(manifest: Manifest, hands: Hands, request: int, inputs: Values) -> dict[str, int]:
    sizes = bind_sizes(manifest.symbols, inputs)
    check_values("model input", manifest.inputs, inputs, sizes)
    hands.offer(request, inputs, sizes)
    return sizes
