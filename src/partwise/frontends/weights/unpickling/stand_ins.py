"""What the globals of an honest checkpoint stand for here: records that note, and do, nothing more.

Source of the list: what `torch.save` of torch 0.4 to 2.13 and `pickle.dump` of torch and numpy write for state dicts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import Any

from partwise.frontends.untrusted import as_list
from partwise.frontends.weights.stored_zip import Broken, Span

__all__ = ["GLOBALS", "Array", "Element", "Refused", "Storage", "Tensor"]


@dataclass(frozen=True, slots=True)
class Element:
    """A type of elements, by its name in the safetensors format."""

    code: str
    size: int
    """Bytes."""


class Storage:
    """A run of elements; where its bytes lie may be learned later."""

    __slots__ = ("count", "element", "shift", "span")

    def __init__(self, element: Element | None, count: int, span: Span | None = None, shift: int = 0) -> None:
        self.element, self.count, self.span, self.shift = element, count, span, shift


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage: offset and strides in elements."""

    storage: Storage
    element: Element
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of a dense copy."""
        return prod(self.shape) * self.element.size


class Refused:
    """In place of a global outside the table: takes anything, does nothing."""

    def __new__(cls, *_: object, **__: object) -> Refused:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None:
        """What a list's items would be given to."""

    def extend(self, _: object) -> None:
        """The same for several."""


class NumpyType:
    """`numpy.dtype(code, align, copy)`; the byte order follows as its state."""

    def __init__(self, code: str, *_: object) -> None:
        self.element, self.order = _NUMPY.get(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class Array:
    """A numpy array: made empty, then given (version, shape, dtype, is_fortran, bytes)."""

    def __init__(self, *_: object) -> None:
        self.tensor: Tensor | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.tensor = _from_bytes(data, kind, shape, "F" if fortran else "C")


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> Tensor:
    if not isinstance(kind, NumpyType) or kind.element is None or kind.order == ">" or not _are_sizes(shape):
        raise Broken("holds a numpy array whose elements are no little-endian numbers")
    if not isinstance(data, bytes | bytearray):
        raise Broken("holds a numpy array of Python objects")
    storage = Storage(kind.element, len(data) // kind.element.size, Span(0, len(data), bytes(data)))
    return Tensor(storage, kind.element, 0, shape, _strides(shape, order))


def _strides(shape: tuple[int, ...], order: str) -> tuple[int, ...]:
    places = range(len(shape))
    return tuple(prod(shape[:p] if order == "F" else shape[p + 1 :]) for p in places)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in as_list(value))


def _frombuffer(data: Any, kind: Any, shape: Any, order: str, *_: object) -> Array:
    array = Array()
    array.tensor = _from_bytes(data, kind, shape, order)
    return array


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Tensor:
    """`_rebuild_tensor`, `_v2` (requires_grad, hooks) and `_v3` (…, dtype)."""
    element = rest[2] if len(rest) > 2 and isinstance(rest[2], Element) else getattr(storage, "element", None)
    if not isinstance(storage, Storage) or not isinstance(element, Element) or type(offset) is not int or offset < 0:
        raise Broken("holds a tensor that is built in no known way")
    if not _are_sizes(shape) or not _are_sizes(stride) or len(shape) != len(stride):
        raise Broken("holds a tensor whose sizes or strides are no sizes")
    return Tensor(storage, element, offset, shape, stride)


def _same(data: Any, *_: object) -> Any:
    return data


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise Broken(f"encodes a string as {str(encoding)[:40]!r}")
    return text.encode("latin1")


def _nothing(*_: object) -> None: ...


def _tuple(items: Any = ()) -> tuple[Any, ...]:
    return tuple(as_list(items))


_ELEMENTS = {
    "float64": Element("F64", 8), "float32": Element("F32", 4), "float16": Element("F16", 2),
    "bfloat16": Element("BF16", 2), "int64": Element("I64", 8), "int32": Element("I32", 4),
    "int16": Element("I16", 2), "int8": Element("I8", 1), "uint8": Element("U8", 1), "bool": Element("BOOL", 1),
    "uint16": Element("U16", 2), "uint32": Element("U32", 4), "uint64": Element("U64", 8),
    "complex64": Element("C64", 8), "float8_e4m3fn": Element("F8_E4M3", 1), "float8_e5m2": Element("F8_E5M2", 1),
}  # fmt: skip
_STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
}  # fmt: skip
_NUMPY = {
    f"{kind}{size}": _ELEMENTS[f"{name}{size * 8}"]
    for kind, name, sizes in (("f", "float", (2, 4, 8)), ("i", "int", (1, 2, 4, 8)), ("u", "uint", (1, 2, 4, 8)))
    for size in sizes
} | {"b1": _ELEMENTS["bool"], "c8": _ELEMENTS["complex64"]}
_BYTES = Element("", 1)
"""An untyped storage: its tensors say what its bytes are."""

GLOBALS: dict[str, Any] = {
    **{f"torch.{name}": element for name, element in _ELEMENTS.items()},
    **{f"torch.{name}Storage": _ELEMENTS[kind] for name, kind in _STORAGES.items()},
    "torch.storage.UntypedStorage": _BYTES,
    "torch.UntypedStorage": _BYTES,
    **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
    "torch._utils._rebuild_tensor_v3": _tensor,
    **dict.fromkeys(("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"), _same),
    "torch.Size": _tuple,
    "torch.device": _nothing,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
    "numpy.ndarray": Array,
    "numpy.dtype": NumpyType,
    **{
        f"numpy.{core}.{name}": value
        for core in ("core", "_core")
        for name, value in (
            ("multiarray._reconstruct", Array),
            ("multiarray.scalar", _nothing),
            ("numeric._frombuffer", _frombuffer),
        )
    },
}
"""Every global that a checkpoint may name, with what it gets instead."""
