"""Sizes: which dimensions of the example inputs stay symbols, and torch's expressions in our arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partwise.errors import ModelError

__all__ = ["expression", "roles", "text_length"]


def roles(inputs: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """The dimensions that callers vary: {input: {dim: symbol}}.

    The first dim of every input is `batch`. Token ids and masks are the integer inputs of rank 2: their second
    dim is `sequence`, or `<input>_sequence` for an input of another kind of length (a decoder's).

    Args:
        inputs: example tensors by name.
    """
    ranked = {name: value for name, value in inputs.items() if getattr(value, "ndim", 0) >= 1}
    if not ranked:
        return {}
    batch = next(iter(ranked.values())).shape[0]
    found = {name: {0: "batch"} for name, value in ranked.items() if value.shape[0] == batch}
    for name in found:
        if _is_text(ranked[name]):
            prefix = "decoder_" if name.startswith("decoder_") else ""
            same = ranked[name].shape[1] == text_length(ranked, prefix)
            found[name][1] = f"{prefix}sequence" if same else f"{name}_sequence"
    return found


def text_length(inputs: Mapping[str, Any], prefix: str = "") -> int | None:
    """The second size of the first token-like input whose name starts with `prefix`."""
    texts = (v for n, v in inputs.items() if _is_text(v) and n.startswith("decoder_") == bool(prefix))
    return next((value.shape[1] for value in texts), None)


def _is_text(value: Any) -> bool:
    return value.ndim == 2 and not value.dtype.is_floating_point and not value.dtype.is_complex


def expression(value: Any, names: Mapping[str, str]) -> int | str:
    """A size of torch (int or SymInt) as an int or an expression over our symbols.

    Args:
        value: what torch has.
        names: torch's symbol (`s72`) to ours (`batch`); a symbol that is absent keeps its name.

    Raises:
        ModelError: an operation outside the arithmetic of `partwise.ir.dims`.
    """
    if isinstance(value, int):
        return value
    return _text(value.node.expr, names)


def _text(expr: Any, names: Mapping[str, str]) -> int | str:
    if expr.is_Integer:
        return int(expr)
    if expr.is_Symbol:
        return names.get(expr.name, expr.name)
    arguments = [str(_text(argument, names)) for argument in expr.args]
    kind = type(expr).__name__
    if kind in _INFIX:
        return "(" + _INFIX[kind].join(arguments) + ")"
    if kind in _FUNCTIONS:
        return f"{_FUNCTIONS[kind]}({', '.join(arguments)})"
    if kind == "Pow" and expr.args[1].is_Integer and 0 < int(expr.args[1]) <= 4:
        return "(" + "*".join([arguments[0]] * int(expr.args[1])) + ")"
    if kind == "CeilToInt" or kind == "TruncToInt":
        return _text(expr.args[0], names)
    raise ModelError(
        f"size `{expr}`", f"uses `{kind}`, which sizes of a graph cannot hold", hint="capture with --static."
    )


_INFIX = {
    "Add": " + ",
    "Mul": "*",
    "FloorDiv": "//",
    "CleanDiv": "//",
    "Mod": " % ",
    "PythonMod": " % ",
}
_FUNCTIONS = {"Max": "max", "Min": "min"}
