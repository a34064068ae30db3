"""Errors as the parts that a message of another process carries, and errors again of such parts."""

from __future__ import annotations

from typing import Protocol

import partwise.errors
from partwise.errors import PartwiseError

__all__ = ["ErrorParts", "Parts", "error_of", "parts_of"]

Parts = tuple[str, str, str, str | None, str | None, str]
"""In the order of `ErrorParts`."""


class ErrorParts(Protocol):
    """A message that tells of an error."""

    @property
    def error(self) -> str:
        """The name of its class."""
        ...

    @property
    def subject(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def expected(self) -> str | None: ...
    @property
    def got(self) -> str | None: ...
    @property
    def hint(self) -> str: ...


def parts_of(error: PartwiseError) -> Parts:
    """An error's parts; a class that `partwise.errors` does not have is told as the nearest above it that it has."""
    name = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in partwise.errors.__all__)
    return name, error.subject, error.what, error.expected, error.got, error.hint


def error_of(told: ErrorParts, otherwise: type[PartwiseError]) -> PartwiseError:
    """The error that was told; `otherwise` where its name is that of none: who tells is not believed."""
    kind = getattr(partwise.errors, told.error) if told.error in partwise.errors.__all__ else otherwise
    return kind(told.subject, told.what, expected=told.expected, got=told.got, hint=told.hint)
