"""Read the symbols' values off the inputs, and check values against an interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from partwise.errors import InterfaceMismatchError
from partwise.ir import Symbol
from partwise.ir.dims import evaluate_shape
from partwise.packaging import Port

__all__ = ["bind_sizes", "check_values"]


def bind_sizes(symbols: Sequence[Symbol], inputs: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The value of each symbol, read off the input that carries it; a data-dependent one keeps its hint."""
    sizes: dict[str, int] = {}
    for symbol in symbols:
        value = inputs.get(symbol.input or "")
        readable = value is not None and symbol.dim is not None and symbol.dim < value.ndim
        sizes[symbol.name] = int(value.shape[symbol.dim]) if readable else symbol.hint  # pyright: ignore
    return sizes


def check_values(
    subject: str, ports: Sequence[Port], values: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> None:
    """Raise unless the values have the names, types and shapes of an interface.

    Raises:
        InterfaceMismatchError: which value of which segment, what was expected and what was got.
    """
    expected = {port.tensor for port in ports}
    if missing := sorted(expected - values.keys()):
        raise InterfaceMismatchError(
            subject, f"lacks {', '.join(missing)}", expected=sorted(expected), got=sorted(values)
        )
    if unknown := sorted(values.keys() - expected):
        raise InterfaceMismatchError(
            subject, f"has no {', '.join(unknown)}", expected=sorted(expected), got=sorted(values)
        )
    for port in ports:
        value = values[port.tensor]
        if value.dtype.name != port.dtype.value:
            raise InterfaceMismatchError(
                f"{subject}, `{port.tensor}`", "has another dtype", expected=port.dtype.value, got=value.dtype.name
            )
        if port.shape is None:
            continue
        shape = evaluate_shape(port.shape, sizes)
        if tuple(value.shape) != shape:
            raise InterfaceMismatchError(
                f"{subject}, `{port.tensor}`", "has another shape", expected=shape, got=tuple(value.shape)
            )
