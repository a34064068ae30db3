"""Who is there: the protocol between an executor on many machines and whatever keeps its workers alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from partwise.errors import PartwiseError
from partwise.runtime.remote.handshake import Invitation, Statement
from partwise.runtime.schedule import Capacity

__all__ = ["Arrived", "Change", "Departed", "Members", "Unfit", "Vanished"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A worker has started, or has started again, and has said who it is."""

    number: int
    stated: Statement
    capacity: Capacity = Capacity()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Departed:
    """A worker is gone; it may arrive again."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """A worker could not start, and will not."""

    number: int
    error: PartwiseError


@dataclass(frozen=True, slots=True)
class Vanished:
    """There is no cluster any more."""

    error: PartwiseError


Change = Arrived | Departed | Unfit | Vanished


class Members(Protocol):
    """Keeps workers alive."""

    def start(self, invite: Callable[[int], Invitation], report: Callable[[Change], None]) -> int:
        """Start a worker wherever there is room for one, now and later.

        Args:
            invite: what a worker is told, by its number.
            report: called from any thread.

        Returns:
            How many are being started now.

        Raises:
            RunError: there is no such cluster, or it refuses.
        """
        ...

    def restart(self, number: int) -> None:
        """End a worker, however little it listens; it arrives again."""
        ...

    def close(self) -> None:
        """End all workers of this run. Safe to call twice."""
        ...
