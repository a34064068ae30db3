"""What a parent and its proving workers tell each other, and a prover as plain data.

parent → worker    Begin, then any number of Prove
worker → parent    Proved or NotProved for each, under its ticket; the worker goes on
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from partwise.errors import PartwiseError, ProverError, ProverMemoryError, ProverRefusedError
from partwise.runtime.schedule import Fault
from partwise.verification.zk.command_templates import CommandTemplates
from partwise.verification.zk.ezkl_call import CallLimits
from partwise.verification.zk.prover import Circuit, Measured, Prover
from partwise.verification.zk.provers import make_prover

__all__ = ["Begin", "NotProved", "Prove", "Proved", "Recipe", "fault_of", "recipe_of"]


class Recipe(msgspec.Struct, frozen=True):
    """A prover, to be made again in another process."""

    name: str
    version: str
    options: dict[str, Any]

    def make(self) -> Prover:
        """The prover.

        Raises:
            ProverRefusedError: here it is another version.
        """
        given = {name: _READ[name](value) if name in _READ else value for name, value in self.options.items()}
        made = make_prover(self.name, **given)
        if made.version != self.version:
            raise ProverRefusedError(f"prover `{self.name}`", "is another version at a worker", expected=self.version,
                                     got=made.version)  # fmt: skip
        return made


class Begin(msgspec.Struct, frozen=True, tag=True):
    """What all tasks of a worker share."""

    prover: Recipe
    scratch: str
    """A folder for whatever is written on the way; the parent removes it."""


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Prove a witness."""

    ticket: int
    circuit: Circuit
    folder: str
    """Of the circuit."""
    witness: str
    out: str
    """Where the proof is written."""
    subject: str


class Proved(msgspec.Struct, frozen=True, tag=True):
    """A proof is written."""

    ticket: int
    measured: Measured


class NotProved(msgspec.Struct, frozen=True, tag=True):
    """A proof failed, and the worker lives; the parts of a `PartwiseError`, and what kind of fault it is."""

    ticket: int
    fault: Fault
    error: str
    subject: str
    what: str
    expected: str | None
    got: str | None
    hint: str


def recipe_of(prover: Prover) -> Recipe:
    """A prover as plain data."""
    return Recipe(prover.name, prover.version, msgspec.to_builtins(prover.options, enc_hook=str))


def fault_of(error: Exception) -> Fault:
    """What another attempt may help: a prover may succeed elsewhere or on less, unless it says that it never will."""
    match error:
        case ProverMemoryError() | MemoryError():
            return Fault.MEMORY
        case ProverRefusedError():
            return Fault.FINAL
        case ProverError():
            return Fault.ERROR
        case PartwiseError():
            return Fault.FINAL
        case _:
            return Fault.ERROR


def _path(value: Any) -> Path | None:
    return None if value is None else Path(value)


_READ: dict[str, Callable[[Any], Any]] = {
    "srs": _path,
    "limits": lambda value: msgspec.convert(value, CallLimits),
    "templates": lambda value: msgspec.convert(value, CommandTemplates),
}
"""Options that are more than plain data."""
