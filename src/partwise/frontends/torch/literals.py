"""A torch node's arguments and values as the IR's: references, literals, sizes as expressions, specifications."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.torch.origin import origin
from partwise.frontends.torch.symbols import SizeError, expression, unchosen
from partwise.torch_arrays import to_numpy

__all__ = ["Literals", "constant", "is_size", "is_tensor"]

_CONSTANT_BYTES = 1 << 16
"""A literal tensor above this size is a weight that should be a buffer."""


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor, fake ones included."""
    return isinstance(value, require("torch").Tensor)


def is_size(value: Any) -> bool:
    """Whether a value is a number that sizes decide, or a plain one."""
    torch = require("torch")
    return isinstance(value, (torch.SymInt, torch.SymBool, torch.SymFloat, int, float, bool))


def constant(name: str, value: Any) -> ir.Constant:
    """A small literal tensor with its bytes.

    Raises:
        ModelError: it is no literal by its size.
    """
    data = to_numpy(value.detach().contiguous()).tobytes()
    if len(data) > _CONSTANT_BYTES:
        raise ModelError(f"constant `{name}`", "too large for a literal", expected=f"≤ {_CONSTANT_BYTES} bytes",
                         got=len(data), hint="register it as a buffer.")  # fmt: skip
    return ir.Constant(tensor=name, data=base64.b64encode(data).decode())


def _dtype(value: Any, where: str) -> ir.DType:
    name = str(value.dtype).removeprefix("torch.")
    if name not in set(ir.DType):
        hint = "cast it to float32, bfloat16, float16, float8_e4m3fn, float8_e5m2 or an integer type."
        raise UnsupportedOpError(where, f"gives values of a type that graphs do not have ({name})", hint=hint)
    return ir.DType(name)


@dataclass(frozen=True, slots=True)
class Literals:
    """Translates what a program's nodes hold."""

    symbols: Mapping[str, str]
    """torch's symbol -> ours."""
    names: Mapping[Any, str]
    """torch's node -> our tensor."""

    def specification(self, name: str, value: Any, node: Any) -> ir.TensorSpec:
        """What is known of a value before it exists.

        Raises:
            UnsupportedOpError: it is no tensor, or the data decide its shape.
        """
        where = f"operator `{node.target}` at {origin(node)}"
        if not is_tensor(value):
            what = f"gives a {type(value).__name__}, not a tensor"
            raise UnsupportedOpError(where, what, hint="make such an object outside the model, and pass tensors in.")
        if by_data := [s for size in value.shape for s in unchosen(size, self.symbols)]:
            what = f"gives a shape that only the data decide ({', '.join(by_data)})"
            raise SizeError(where, what, hint="keep all elements and mask them.")
        shape = tuple(self._size(size, node) for size in value.shape)
        return ir.TensorSpec(name=name, dtype=_dtype(value, where), shape=shape)

    def argument(self, value: Any, node: Any) -> ir.Argument:
        """One argument of a node.

        Raises:
            UnsupportedOpError: nothing that a graph can hold.
        """
        torch = require("torch")
        if isinstance(value, torch.fx.Node):
            held = value.meta.get("val")
            return self._number(held, node) if is_size(held) else ir.Ref(self.names[value])
        if isinstance(value, tuple | list):
            return tuple(self.argument(item, node) for item in cast(list[Any], value))
        if value is None or isinstance(value, bool | int | float | complex | str):
            return value
        if is_size(value):
            return self._number(value, node)
        if isinstance(value, (torch.dtype, torch.memory_format)):
            space = "dtype" if isinstance(value, torch.dtype) else "memory_format"
            return ir.Enum(space, str(value).removeprefix("torch."))
        where = f"operator `{node.target}` at {origin(node)}"
        raise UnsupportedOpError(where, f"an argument of type {type(value).__name__} cannot be stored in a graph")

    def _number(self, value: Any, node: Any) -> ir.Argument:
        if isinstance(value, bool | float):
            return value
        size = self._size(value, node)
        return size if isinstance(size, int) else ir.Sym(size)

    def _size(self, value: Any, node: Any) -> int | str:
        try:
            return expression(value, self.symbols)
        except SizeError as error:
            raise SizeError(f"operator `{node.target}` at {origin(node)}, {error.subject}", error.what,
                            hint=error.hint) from None  # fmt: skip
