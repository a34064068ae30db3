"""Drive a schedule: what every executor does the same way, between the state machine and the hands that work."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.ir import Output, Symbol
from partwise.packaging import Port
from partwise.runtime.executors.executor import Answer, Values
from partwise.runtime.executors.reported import after_attempts
from partwise.runtime.schedule import (
    Abandon,
    Collect,
    Compute,
    Discard,
    Divide,
    Divided,
    Ended,
    Event,
    Fetch,
    GiveUp,
    Indivisible,
    Instruction,
    Load,
    Offered,
    Ping,
    Release,
    Schedule,
    Start,
    Stop,
    Unload,
    Wake,
    Woke,
)
from partwise.runtime.schedule import Answer as Answered
from partwise.runtime.sizes import Interface, bind_sizes

__all__ = ["Driver", "Ends", "Hands"]

_END = object()


class Hands(Protocol):
    """What an executor can do; each call obeys one instruction of the schedule."""

    def start(self, worker: int) -> None:
        """Bring a worker up."""
        ...

    def stop(self, worker: int) -> None:
        """End a worker; nothing of it is reported from here on."""
        ...

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        """Make a stage ready on a worker."""
        ...

    def unload(self, worker: int, stage: int) -> None:
        """Let a worker forget a stage."""
        ...

    def ping(self, worker: int) -> None:
        """Ask for a sign of life."""
        ...

    def divide(self, stage: int) -> Divided | Indivisible:
        """Cut a stage into smaller ones."""
        ...

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:
        """Send the model's inputs, which fit, to whoever reads them."""
        ...

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        """Start a task."""
        ...

    def discard(self, ticket: int) -> None:
        """Forget a result that came too late."""
        ...

    def collect(self, request: int, stage: int) -> Values:
        """What the model returns from a stage that has finished, by tensor name."""
        ...

    def release(self, request: int, sender: int) -> None:
        """Forget what a sender sent."""
        ...

    def next(self, timeout_s: float | None) -> Event | None:
        """The next event, waiting for it at most so long; None where there was none."""
        ...

    def error(self, worker: int, why: str) -> PartwiseError | None:
        """What a worker failed with, in these words; None where it reported no such thing."""
        ...


class Ends(Protocol):
    """What requests bring, and what answers hold; a package's manifest says it."""

    @property
    def symbols(self) -> tuple[Symbol, ...]: ...
    @property
    def inputs(self) -> tuple[Port, ...]: ...
    @property
    def outputs(self) -> tuple[Output, ...]: ...


@dataclass(slots=True)
class _Underway:
    sizes: dict[str, int]
    returned: dict[str, np.ndarray]


class Driver:
    """Obeys a schedule with an executor's hands, and keeps its time."""

    def __init__(
        self, ends: Ends, schedule: Schedule, hands: Hands, name: Callable[[int], str] = "stage {}".format
    ) -> None:
        self._ends, self._schedule, self._hands, self._name = ends, schedule, hands, name
        self._todo: deque[Instruction] = deque()
        self._underway: dict[int, _Underway] = {}
        self._wake_s: float | None = None
        self._ask_s: float | None = None
        """When a source that has nothing is to be asked again, whatever happens."""
        self._woke_s = time.monotonic()
        self._takes = Interface("model input", ends.inputs)

    def begin(self) -> None:
        """Start the workers."""
        self._todo.extend(self._schedule.begin())
        self._obey_all()

    def wait(self, enough: Callable[[], bool]) -> None:
        """Carry on until something is so.

        Raises:
            PartwiseError: no worker can run a stage.
        """
        while not enough():
            self._listen()
            self._obey_all()

    def run(self, requests: Iterable[Values | float | None]) -> Iterator[Answer]:
        """Answers in the order of the requests.

        Raises:
            InterfaceMismatchError: a request that does not fit the model.
            PartwiseError: what a request failed with, unless the policy is to keep going.
        """
        stream, number = iter(requests), 0
        owed = False  # a Fetch that found nothing, tried again after whatever happens next
        self._underway.clear()
        self._todo.extend(self._schedule.open())
        while self._todo or not self._schedule.done:
            if not self._todo:
                idle = owed and not self._underway
                happened = self._listen(0.0 if idle else None)
                if owed and not (idle and happened):
                    self._todo.append(Fetch())
                continue
            match self._todo.popleft():
                case Fetch():
                    inputs = next(stream, _END)
                    owed = inputs is None or isinstance(inputs, float)
                    self._ask_s = time.monotonic() + inputs if isinstance(inputs, float) else None
                    if inputs is _END:
                        self._handle(Ended())
                    elif not owed:
                        self._offer(number, cast(Values, inputs))
                        number += 1
                case Answered(request):
                    yield self._answer(request)
                case GiveUp() as end:
                    yield self._give_up(end)
                case _ as instruction:
                    self._obey(instruction)

    def _handle(self, event: Event) -> None:
        self._todo.extend(self._schedule.handle(event))

    def _obey_all(self) -> None:
        while self._todo:
            self._obey(self._todo.popleft())

    def _obey(self, instruction: Instruction) -> None:
        hands = self._hands
        match instruction:
            case Compute():
                hands.compute(instruction, self._underway[instruction.request].sizes)
            case Collect(request, stage):
                self._underway[request].returned.update(hands.collect(request, stage))
            case Release(request, sender):
                hands.release(request, sender)
            case Ping(worker):
                hands.ping(worker)
            case Wake(after_s):
                at_s = time.monotonic() + after_s
                self._wake_s = at_s if self._wake_s is None else min(at_s, self._wake_s)
            case Start(worker):
                hands.start(worker)
            case Stop(worker):
                hands.stop(worker)
            case Load(worker, stage, on_cpu):
                hands.load(worker, stage, on_cpu=on_cpu)
            case Unload(worker, stage):
                hands.unload(worker, stage)
            case Discard(ticket):
                hands.discard(ticket)
            case Divide(stage):
                self._handle(hands.divide(stage))
            case Abandon(stage):
                raise self._error(instruction, self._name(stage))
            case _:
                raise RunError(str(instruction), "belongs to a stream, and none is open")

    def _listen(self, most_s: float | None = None) -> bool:
        """Handle the next event; what workers say comes before the time, unless they never cease to speak.

        Args:
            most_s: how long to wait for one at most.

        Returns:
            Whether there was one.
        """
        now_s = time.monotonic()
        left_s = None if self._wake_s is None else self._wake_s - now_s
        overdue = left_s is not None and left_s < -self._schedule.policy.tick_s
        limits_s = [limit for limit in (left_s, self._ask_s and self._ask_s - now_s, most_s) if limit is not None]
        event = None if overdue else self._hands.next(max(0.0, min(limits_s)) if limits_s else None)
        now_s = time.monotonic()
        if event is None and self._wake_s is not None and (overdue or now_s >= self._wake_s):
            self._wake_s, elapsed_s, self._woke_s = None, now_s - self._woke_s, now_s
            event = Woke(elapsed_s)
        if event is not None:
            self._handle(event)
        return event is not None

    def _offer(self, number: int, inputs: Values) -> None:
        sizes = bind_sizes(self._ends.symbols, inputs)
        self._takes.check(inputs, sizes)
        self._hands.offer(number, inputs, sizes)
        self._underway[number] = _Underway(sizes, {})
        self._handle(Offered(number))

    def _answer(self, request: int) -> Answer:
        done = self._underway.pop(request)
        outputs = {output.name: done.returned[output.tensor] for output in self._ends.outputs}
        return Answer(request, done.sizes, outputs)

    def _give_up(self, end: GiveUp) -> Answer:
        done = self._underway.pop(end.request)
        error = self._error(end, f"request {end.request}")
        if not self._schedule.policy.keep_going:
            raise error
        return Answer(end.request, done.sizes, {}, error)

    def _error(self, end: GiveUp | Abandon, subject: str) -> PartwiseError:
        """What a worker failed with, and how often; or that nobody can do it."""
        if end.worker is None:
            return RunError(subject, end.why)
        found = self._hands.error(end.worker, end.why) or WorkerLostError(subject, end.why)
        return after_attempts(found, end.tried)
