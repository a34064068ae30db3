"""Dimensions: an int, or an expression over symbols such as `batch` or `(sequence + 15)//16`.

An expression is text in a small arithmetic: `+ - * // % min max` over names and integers; a condition compares
them. Both are parsed by `ast` and evaluated by this module alone, so a stranger's file runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache

from partwise.errors import GraphError

__all__ = ["Dim", "count", "evaluate", "evaluate_shape", "holds", "names_in", "parse", "parse_condition", "symbols_of"]

_NOT_ARITHMETIC = "not an arithmetic expression over symbols"
Dim = int | str

_MAX_LENGTH = 2000  # characters; the longest seen in 26 architectures is 61
_MAX_DEPTH = 40
_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
_CALLS: dict[str, Callable[..., int]] = {"min": min, "max": max}
_COMPARED: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}


def evaluate(dim: Dim, bindings: Mapping[str, int]) -> int:
    """The value of a dimension where its symbols have the values of `bindings`.

    Raises:
        GraphError: a symbol without a value, a division by zero, or text outside the arithmetic.
    """
    if isinstance(dim, int):
        return dim
    try:
        return _evaluate(parse(dim), bindings)
    except KeyError as error:
        raise GraphError(f"dimension `{dim}`", f"symbol {error} has no value") from None
    except ZeroDivisionError:
        raise GraphError(f"dimension `{dim}`", f"division by zero at {dict(bindings)}") from None


def evaluate_shape(shape: tuple[Dim, ...], bindings: Mapping[str, int]) -> tuple[int, ...]:
    """Each dimension of a shape, evaluated."""
    return tuple(evaluate(dim, bindings) for dim in shape)


def count(shape: tuple[Dim, ...], bindings: Mapping[str, int]) -> int:
    """Number of elements of a shape; 1 for a scalar."""
    found = 1
    for dim in shape:
        found *= dim if isinstance(dim, int) else evaluate(dim, bindings)
    return found


def symbols_of(dim: Dim) -> frozenset[str]:
    """The symbols that a dimension depends on."""
    if isinstance(dim, int):
        return frozenset()
    return names_in(parse(dim))


def names_in(tree: ast.expr) -> frozenset[str]:
    """The symbols in a parsed expression."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return frozenset(names - _CALLS.keys())


def holds(condition: str, bindings: Mapping[str, int]) -> bool:
    """Whether a condition such as `sequence > 8` is true where its symbols have the values of `bindings`.

    It is false where a division in it has no result.

    Raises:
        GraphError: a symbol without a value, or text that is no condition.
    """
    try:
        return _truth(parse_condition(condition), bindings)
    except ZeroDivisionError:
        return False
    except KeyError as error:
        raise GraphError(f"condition `{condition}`", f"symbol {error} has no value") from None


@lru_cache(maxsize=65536)
def parse(text: str) -> ast.expr:
    """The syntax tree of an expression, checked to hold nothing but the arithmetic.

    Raises:
        GraphError: anything else, or text too long or too deep.
    """
    try:
        tree = _tree(text)
        _check(tree, _MAX_DEPTH)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise GraphError(f"dimension `{_shown(text)}`", _NOT_ARITHMETIC) from None
    return tree


@lru_cache(maxsize=65536)
def parse_condition(text: str) -> ast.expr:
    """The syntax tree of a condition, checked to hold nothing but comparisons of the arithmetic, `and` and `or`.

    Raises:
        GraphError: anything else, or text too long or too deep.
    """
    try:
        tree = _tree(text)
        _check_condition(tree, _MAX_DEPTH)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise GraphError(f"condition `{_shown(text)}`", "not a comparison of sizes") from None
    return tree


def _tree(text: str) -> ast.expr:
    if len(text) > _MAX_LENGTH:
        raise ValueError
    return ast.parse(text, mode="eval").body


def _shown(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "…"


def _check(node: ast.expr, depth: int) -> None:
    match node:
        case _ if depth == 0:
            raise ValueError
        case ast.Name():
            return
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, depth - 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, depth - 1)
            _check(right, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _CALLS and arguments:
            for argument in arguments:
                _check(argument, depth - 1)
        case _:
            raise ValueError


def _check_condition(node: ast.expr, depth: int) -> None:
    match node:
        case ast.BoolOp(values=values) if depth:
            for value in values:
                _check_condition(value, depth - 1)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
            _check(left, depth)
            _check(right, depth)
        case _:
            raise ValueError


def _truth(node: ast.expr, bindings: Mapping[str, int]) -> bool:
    match node:
        case ast.BoolOp(op=op, values=values):
            return (all if isinstance(op, ast.And) else any)(_truth(value, bindings) for value in values)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _COMPARED[type(op)](_evaluate(left, bindings), _evaluate(right, bindings))
        case _:
            raise GraphError("condition", "not a comparison of sizes")


def _evaluate(node: ast.expr, bindings: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return bindings[name]
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, bindings)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, bindings), _evaluate(right, bindings))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _CALLS[name](*(_evaluate(argument, bindings) for argument in arguments))
        case _:
            raise GraphError("dimension", _NOT_ARITHMETIC)
