"""Sizes: which dimensions of the example inputs stay symbols, and torch's expressions in our arithmetic."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from partwise.errors import GraphError, UnsupportedOpError
from partwise.ir.dims import names_in, parse_condition

__all__ = ["Roles", "SizeError", "arithmetic", "conditions", "expression", "roles", "unchosen"]

Roles = dict[str, dict[int, str]]
"""{input: {dim: symbol}}"""
_TOKENS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_SEVERAL_A_TOKEN = ("bbox", "inputs_embeds")


class SizeError(UnsupportedOpError):
    """A size, or a choice made by one, that a capture with symbols cannot express; one without may."""


def roles(inputs: Mapping[str, Any]) -> Roles:
    """The dimensions that callers vary.

    The first dim of every input is `batch`. Token ids and masks are the integer inputs of rank 2: their second
    dim is `sequence`, or `<input>_sequence` for an input of another kind of length (a decoder's). So are those of
    rank 3 with the names that transformers gives them, [batch, choice, sequence] where a head chooses between
    texts; and what has several values a token, [batch, sequence, …], by the names of transformers too.

    Args:
        inputs: example values by name.
    """
    ranked = {name: value for name, value in inputs.items() if getattr(value, "ndim", 0) >= 1}
    found: Roles = {}
    for name, value in ranked.items():
        dims = {0: "batch"} if value.shape[0] == next(iter(ranked.values())).shape[0] else {}
        if (place := _text_dim(name, value)) is not None:
            prefix = "decoder_" if name.startswith("decoder_") else ""
            same = value.shape[place] == _text_length(ranked, prefix)
            dims[place] = f"{prefix}sequence" if same else f"{name}_sequence"
        found[name] = dims
    return {name: dims for name, dims in found.items() if dims}


def expression(value: Any, names: Mapping[str, str]) -> int | str:
    """A size of torch (int or SymInt) as an int or an expression over our symbols.

    Args:
        value: what torch has.
        names: torch's symbol (`s72`) to ours (`batch`).

    Raises:
        SizeError: only data decide it, or an operation outside the arithmetic of `partwise.ir.dims`.
    """
    return value if isinstance(value, int) else arithmetic(value.node.expr, names)


def unchosen(value: Any, names: Mapping[str, str]) -> list[str]:
    """Symbols in a size that no caller chooses: only the data of a run decide them."""
    if isinstance(value, int):
        return []
    return sorted(symbol.name for symbol in value.node.expr.free_symbols if symbol.name not in names)


def conditions(program: Any, size_of: Callable[[str, int], int | str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the traced code asked of the sizes, and took for granted from then on.

    Args:
        program: an exported program; its guards read `L['x'].size()[1] > 8`.
        size_of: our expression of an input's dim.

    Returns:
        Conditions that must hold whenever the graph runs, and guards that are none of the arithmetic.
    """
    kept, left = dict[str, None](), dict[str, None]()
    for guard in getattr(program, "_guards_code", None) or ():
        text = _GUARDED_SIZE.sub(lambda match: f"({size_of(match[1], int(match[2]))})", guard)
        text = _NAME_IN_BRACKETS.sub(r"\1", text).replace("Max(", "max(").replace("Min(", "min(")
        try:
            tree = parse_condition(text)
        except GraphError:
            left[guard] = None
        else:
            if not _taken_for_granted(text, tree):
                kept[text] = None
    return tuple(kept), tuple(left)


_GUARDED_SIZE = re.compile(r"L\['(\w+)'\]\.size\(\)\[(\d+)\]")
_NAME_IN_BRACKETS = re.compile(r"\((\w+)\)")


def _taken_for_granted(text: str, tree: ast.expr) -> bool:
    """Sizes of two inputs that are one symbol here, and fixed ones; and "is neither 0 nor 1", which export asks of
    sizes to tell broadcasting from plain arithmetic: the operators themselves do the right thing at size 1."""
    if not names_in(tree):
        return True
    match tree:
        case ast.Compare(left=left, comparators=[right]):
            return ast.dump(left) == ast.dump(right) or text.endswith(("!= 0", "!= 1", "> 1", ">= 2"))
        case _:
            return False


def _text_length(inputs: Mapping[str, Any], prefix: str) -> int | None:
    """Tokens of the first token-like input whose name starts with `prefix`."""
    here = (name for name in inputs if name.startswith("decoder_") == bool(prefix))
    places = ((inputs[name], _text_dim(name, inputs[name])) for name in here)
    return next((value.shape[place] for value, place in places if place is not None), None)


def _text_dim(name: str, value: Any) -> int | None:
    """The dim of an input that counts tokens, if it has one."""
    if value.ndim == 3 and name.endswith(_SEVERAL_A_TOKEN):
        return 1
    whole = not value.dtype.is_floating_point and not value.dtype.is_complex
    return value.ndim - 1 if whole and (value.ndim == 2 or (value.ndim == 3 and name.endswith(_TOKENS))) else None


def arithmetic(expr: Any, names: Mapping[str, str]) -> int | str:
    """An integer expression of torch (sympy) in our arithmetic; see `expression`."""
    if expr.is_Integer:
        return int(expr)
    if expr.is_Symbol:
        if expr.name not in names:
            raise SizeError(f"size `{expr}`", "only the data of a run decide it", hint=_BY_DATA)
        return names[expr.name]
    kind = type(expr).__name__
    if kind in ("CeilToInt", "TruncToInt", "FloorToInt") and type(expr.args[0]).__name__ == "IntTrueDiv":
        above, below = (arithmetic(argument, names) for argument in expr.args[0].args)
        return f"(-((-{above})//{below}))" if kind == "CeilToInt" else f"({above}//{below})"
    arguments = [str(arithmetic(argument, names)) for argument in expr.args]
    if kind in _INFIX:
        return "(" + _INFIX[kind].join(arguments) + ")"
    if kind in _FUNCTIONS:
        return f"{_FUNCTIONS[kind]}({', '.join(arguments)})"
    if kind == "Pow" and expr.args[1].is_Integer and 0 < int(expr.args[1]) <= 4:
        return "(" + "*".join([arguments[0]] * int(expr.args[1])) + ")"
    raise SizeError(
        f"size `{expr}`", f"uses `{kind}`, which sizes of a graph cannot hold", hint="capture with --static."
    )


_BY_DATA = "compute it from sizes, or keep all elements and mask them."


_INFIX = {
    "Add": " + ",
    "Mul": "*",
    "FloorDiv": "//",
    "CleanDiv": "//",
    "Mod": " % ",
    "PythonMod": " % ",
}
_FUNCTIONS = {"Max": "max", "Min": "min"}
