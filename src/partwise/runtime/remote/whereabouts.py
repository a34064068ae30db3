"""Where the values of the requests under way lie: with the head, or with the worker that made them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from partwise.runtime.executors.executor import Values
from partwise.runtime.route import CALLER

__all__ = ["Whereabouts"]


class Whereabouts:
    """See the module."""

    def __init__(self) -> None:
        self._inputs: dict[int, dict[str, np.ndarray]] = {}
        self._places: dict[tuple[int, int], int] = {}
        """The worker that has what a stage sent for a request."""
        self._senders: dict[int, dict[str, int]] = {}
        """By request: the stage that sent each tensor."""
        self._returned: dict[tuple[int, int], Values] = {}

    def offer(self, request: int, inputs: dict[str, np.ndarray]) -> None:
        """The model's inputs are here."""
        self._inputs[request] = inputs
        self._senders.setdefault(request, {}).update(dict.fromkeys(inputs, CALLER))

    def keep(self, request: int, stage: int, worker: int, names: Iterable[str], returned: Values) -> None:
        """A worker has made what a stage sends, and has handed in what the model returns of it."""
        self._places[request, stage] = worker
        self._senders.setdefault(request, {}).update(dict.fromkeys(names, stage))
        self._returned[request, stage] = returned

    def find(self, request: int, names: Iterable[str]) -> tuple[dict[str, np.ndarray], dict[int, list[str]]]:
        """Values of a request: those that are here, and the names of the others by the stage that sent them."""
        elsewhere: dict[int, list[str]] = {}
        for name in names:
            elsewhere.setdefault(self._senders[request][name], []).append(name)
        here = {name: self._inputs[request][name] for name in elsewhere.pop(CALLER, [])}
        return here, elsewhere

    def worker(self, request: int, stage: int) -> int:
        """Who has what a stage sent; `CALLER`, which is no worker, where nobody has."""
        return self._places.get((request, stage), CALLER)

    def collect(self, request: int, stage: int) -> Values:
        """What the model returns from a stage; it is forgotten here."""
        return self._returned.pop((request, stage), {})

    def release(self, request: int, sender: int) -> tuple[int | None, bool]:
        """Nobody reads what a sender sent: the worker that may forget it, and whether that was the request's last."""
        left = {name: other for name, other in self._senders[request].items() if other != sender}
        if left:
            self._senders[request] = left
        else:
            del self._senders[request]
        if sender == CALLER:
            self._inputs.pop(request, None)
            return None, not left
        self._returned.pop((request, sender), None)
        return self._places.pop((request, sender), None), not left
