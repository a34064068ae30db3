"""What a run leaves: the record of what was run on what, and the values that went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from partwise.errors import InputError
from partwise.packaging.arrays import stride_order, tensor_digest
from partwise.runtime.archive import read_members
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.exactness import Inexact
from partwise.runtime.inputs import Origin
from partwise.runtime.schedule import Incident

__all__ = ["RUN_VERSION", "LazyArrays", "RequestRecord", "Run", "RunRecord", "RunRequest", "record_request"]

RUN_VERSION = "partwise.run/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request, by digest (`packaging.arrays.tensor_digest`)."""

    name: str
    """Its file's, or its number in the stream."""
    sizes: dict[str, int]
    """Values of the model's symbols that its inputs carry."""
    inputs: dict[str, str]
    """Digest by name."""
    outputs: dict[str, str]
    """Digest by name, in the model's order."""
    orders: dict[str, tuple[int, ...]]
    """Dims by stride, from the largest, of inputs that did not lie in C order: layout chooses a kernel's path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run claims, as it stands in `run_result.json`. It holds no times: the same run gives the same record."""

    version: str
    package: str
    """Digest of the package."""
    model: str
    executor: str
    engines: tuple[EngineSettings, ...]
    """What each stage's engine claims about how it computed."""
    exact: bool | None
    """What the package says of itself: chain equal to whole, bit for bit; False where an engine has no exact way."""
    origin: Origin
    stream: bool
    """Whether the inputs came as a stream, be it of one request."""
    requests: tuple[RequestRecord, ...]
    notes: tuple[str, ...] = ()
    inexact: Inexact | None = None
    """How far engines without an exact way are from the exact one; None where all are exact."""
    incidents: tuple[Incident, ...] = ()
    """What went wrong on the way, and what was done about it: workers replaced, tasks repeated, stages divided. Empty
    where nothing failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One request of a run with its values."""

    record: RequestRecord
    inputs: Mapping[str, np.ndarray] = field(repr=False)
    outputs: Mapping[str, np.ndarray] = field(repr=False)
    """By the model's names, in the model's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: its record and its values. Those of a stream are read from its folder when they are asked for."""

    record: RunRecord
    requests: tuple[RunRequest, ...] = field(repr=False)
    path: Path | None = None
    """Its folder; None if it was not saved."""
    package: Path | None = None
    """Where its package lay, if that is known."""
    seconds: float | None = None
    """From the first input read to the last output there; loading is not in it. None for a run that was read back."""

    @property
    def outputs(self) -> Mapping[str, np.ndarray]:
        """The outputs of the only request, by name, in the model's order.

        Raises:
            InputError: it was a stream; `requests` has the outputs of each.
        """
        if len(self.requests) != 1:
            raise InputError("run", f"holds {len(self.requests)} requests", hint="run.requests[i].outputs")
        return self.requests[0].outputs


class LazyArrays(Mapping[str, np.ndarray]):
    """Arrays that lie in an archive, read each time they are asked for."""

    def __init__(self, path: Path, members: Mapping[str, str], orders: Mapping[str, tuple[int, ...]]) -> None:
        self._path, self._members, self._orders = path, members, orders

    def __getitem__(self, name: str) -> np.ndarray:
        ((_, array),) = read_members(self._path, {name: self._members[name]})
        order = self._orders.get(name)
        return array if order is None else _laid_out(array, order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def record_request(
    name: str, sizes: Mapping[str, int], inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> RequestRecord:
    """A request by digest."""
    return RequestRecord(
        name=name,
        sizes=dict(sizes),
        inputs={key: tensor_digest(value) for key, value in inputs.items()},
        outputs={key: tensor_digest(value) for key, value in outputs.items()},
        orders={key: order for key, value in inputs.items() if (order := stride_order(value)) != _c_order(value)},
    )


def _c_order(array: np.ndarray) -> tuple[int, ...]:
    return tuple(range(array.ndim))


def _laid_out(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    if sorted(order) != list(range(array.ndim)):
        raise InputError("saved run", "an input's layout does not fit its shape", got=order)
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return np.ascontiguousarray(array.transpose(order)).transpose(inverse)
