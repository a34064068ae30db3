"""Sizes of an exported program: sympy's `srepr` text, in our arithmetic over our symbols.

The text is parsed by `ast` and translated by the table below; nothing in it is evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from partwise.errors import UnsupportedOpError
from partwise.frontends.untrusted import as_dict
from partwise.ir import Dim, Symbol

__all__ = ["Sizes", "roles", "symbol_in"]

_MAX_LENGTH = 20_000
"""Characters; the longest of five exported models has 240."""
_INFIX = {"Add": " + ", "Mul": "*", "FloorDiv": "//", "CleanDiv": "//", "Mod": " % ", "PythonMod": " % "}
_HINT = 2
"""A symbol's size at export, where the program does not tell: the least that export takes for a symbol."""
_ANY = Symbol(name="", hint=-1, input=None, dim=None)
_INTEGERS = (4, 5)
"""int32 and int64: what token ids and masks are made of."""
_FUNCTIONS = {"Max": "max", "Min": "min"}


class Sizes:
    """Translates sizes; `names` has torch's symbol -> ours."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def dim(self, size: Mapping[str, Any]) -> Dim:
        """`{"as_int": 3}` or `{"as_expr": {"expr_str": ...}}` as an int or an expression.

        Raises:
            UnsupportedOpError: an operation outside the arithmetic of `partwise.ir.dims`, or a symbol of the data.
        """
        if "as_int" in size:
            return int(size["as_int"])
        text = str(size["as_expr"]["expr_str"])
        found = self._write(_parse(text), text)
        return int(found) if found.lstrip("-").isdigit() else found

    def _write(self, tree: ast.expr, whole: str) -> str:
        match tree:
            case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))]):
                if name not in self._names:
                    raise _unknown(whole, "depends on a symbol that no input has as a dimension")
                return self._names[name]
            case ast.Call(func=ast.Name(id="Integer"), args=[argument]):
                return ast.unparse(argument) if _is_integer(argument) else self._write(argument, whole)
            case ast.Call(func=ast.Name(id="Pow"), args=[base, ast.Call(args=[ast.Constant(value=int(power))])]):
                if not 0 < power <= 4:
                    raise _unknown(whole, f"raises to the power of {power}")
                return "(" + "*".join([self._write(base, whole)] * power) + ")"
            case ast.Call(func=ast.Name(id=kind), args=arguments) if kind in _INFIX:
                return "(" + _INFIX[kind].join(self._write(argument, whole) for argument in arguments) + ")"
            case ast.Call(func=ast.Name(id=kind), args=arguments) if kind in _FUNCTIONS:
                return f"{_FUNCTIONS[kind]}({', '.join(self._write(argument, whole) for argument in arguments)})"
            case _:
                raise _unknown(whole, "is no arithmetic that a graph's sizes can hold")


def symbol_in(size: Mapping[str, Any]) -> str | None:
    """torch's name of the symbol that a size is; None for an int or anything composed."""
    if "as_expr" not in size:
        return None
    match _parse(str(size["as_expr"]["expr_str"])):
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))]):
            return name
        case _:
            return None


def _is_integer(tree: ast.expr) -> bool:
    number = tree.operand if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else tree
    return isinstance(number, ast.Constant) and type(number.value) is int


def _parse(text: str) -> ast.expr:
    try:
        if len(text) > _MAX_LENGTH:
            raise ValueError
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unknown(text, "is no expression") from None


def _unknown(text: str, what: str) -> UnsupportedOpError:
    return UnsupportedOpError(f"size `{text[:120]}`", what, hint="export with fixed sizes.")


def roles(inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Symbol]]:
    """Each symbol of torch's with the one of ours that it becomes.

    First dims of one size at export are all `batch`, second dims of rank-2 integers `sequence`, as in a capture
    of the module itself; others are named after input and dim.
    """
    found, seen = dict[str, Symbol](), set[str]()
    for name, meta in inputs.items():
        for dim, size in enumerate(meta["sizes"]):
            theirs = symbol_in(size)
            if theirs is None or theirs in seen:
                continue
            hint = int(as_dict(size["as_expr"].get("hint")).get("as_int", _HINT))
            role = _role(dim, meta)
            if role is None or found.get(role, _ANY).hint not in (hint, _ANY.hint):
                role = f"{name}_{dim}"
            seen.add(theirs)
            yield theirs, found.setdefault(role, Symbol(name=role, hint=hint, input=name, dim=dim))


def _role(dim: int, meta: Mapping[str, Any]) -> str | None:
    text = len(meta["sizes"]) == 2 and meta["dtype"] in _INTEGERS and dim == 1
    return "batch" if dim == 0 else "sequence" if text else None
