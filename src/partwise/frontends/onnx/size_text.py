"""Sizes that write themselves down: a count computed over them comes out as an expression over the symbols."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SizeText"]


class SizeText:
    """A size that is not known yet. Arithmetic on it gives text in the arithmetic of `partwise.ir.dims`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _infix(symbol: str) -> tuple[Callable[..., object], Callable[..., object]]:
    def left(self: SizeText, other: object) -> SizeText:
        return SizeText(f"({self} {symbol} {other})")

    def right(self: SizeText, other: object) -> SizeText:
        return SizeText(f"({other} {symbol} {self})")

    return left, right


for _name, _symbol in (("add", "+"), ("sub", "-"), ("mul", "*"), ("floordiv", "//"), ("mod", "%")):
    _left, _right = _infix(_symbol)
    setattr(SizeText, f"__{_name}__", _left)
    setattr(SizeText, f"__r{_name}__", _right)
