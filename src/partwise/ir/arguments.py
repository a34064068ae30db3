"""What a node's operator is called with: references, symbols, and literals that are plain data.

JSON form: None, bools, ints and strings as they are; lists as lists; every other kind as an object with
one key: {"ref": name} {"sym": expression} {"float": hex} {"complex": [hex, hex]} {"enum": "dtype:float32"}.
Floats are hexadecimal so that they survive to the last bit, infinities included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from partwise.errors import GraphError

__all__ = ["Argument", "Enum", "Ref", "Sym", "decode", "encode", "references"]

_MAX_DEPTH = 6  # nesting of lists; aten's signatures need 2


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor, by its name in the graph."""

    name: str


@dataclass(frozen=True, slots=True)
class Sym:
    """An integer that depends on the sizes of the inputs: an expression of `dims`."""

    expression: str


@dataclass(frozen=True, slots=True)
class Enum:
    """A framework's constant: space is `dtype` or `memory_format`."""

    space: str
    name: str


Argument: TypeAlias = "bool | int | float | complex | str | Ref | Sym | Enum | tuple[Argument, ...] | None"
_ENUM = re.compile(r"(dtype|memory_format):[a-z][a-z0-9_]*\Z")
"""An engine looks these names up in its framework, so they may not be any name."""


def references(argument: Argument) -> Iterator[str]:
    """The names of the tensors in an argument, in order, repeats included."""
    if isinstance(argument, Ref):
        yield argument.name
    elif isinstance(argument, tuple):
        for item in argument:
            yield from references(item)


def encode(argument: Argument) -> object:
    """An argument as plain JSON data."""
    match argument:
        case float():
            return {"float": argument.hex()}
        case complex(real=real, imag=imaginary):
            return {"complex": [real.hex(), imaginary.hex()]}
        case Ref(name):
            return {"ref": name}
        case Sym(expression):
            return {"sym": expression}
        case Enum(space, name):
            return {"enum": f"{space}:{name}"}
        case tuple():
            return [encode(item) for item in argument]
        case _:
            return argument


def decode(data: object, depth: int = _MAX_DEPTH) -> Argument:
    """The inverse of `encode`, for data from anywhere.

    Raises:
        GraphError: data that `encode` never writes.
    """
    match data:
        case None | bool() | int() | str():
            return data
        case list() if depth:
            return tuple(decode(item, depth - 1) for item in cast(list[object], data))
        case {"ref": str(name)} if len(cast(dict[str, Any], data)) == 1:
            return Ref(name)
        case {"sym": str(expression)} if len(cast(dict[str, Any], data)) == 1:
            return Sym(expression)
        case {"float": str(text)} if len(cast(dict[str, Any], data)) == 1:
            return _float(text)
        case {"complex": [str(real), str(imaginary)]} if len(cast(dict[str, Any], data)) == 1:
            return complex(_float(real), _float(imaginary))
        case {"enum": str(text)} if len(cast(dict[str, Any], data)) == 1 and _ENUM.match(text):
            space, _, name = text.partition(":")
            return Enum(space, name)
        case _:
            raise GraphError("argument", "not a literal of the format", got=repr(data)[:80])


def _float(text: str) -> float:
    try:
        return float.fromhex(text)
    except (ValueError, OverflowError):
        raise GraphError("argument", "not a hexadecimal float", got=repr(text)[:80]) from None
