"""Inputs as JSON: numbers in nested lists, made into arrays of the interface's types."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import cast

import numpy as np

from partwise.errors import GraphError, InputError, InterfaceMismatchError
from partwise.ir.dims import Dim, evaluate_shape
from partwise.packaging import Manifest, Port
from partwise.packaging.arrays import numpy_dtype
from partwise.strict_json import json_object

__all__ = ["array_of", "in_type", "read_json", "read_lists"]

Shape = tuple[Dim, ...]
_EXACT = 1 << 53
"""From here on float64 skips whole numbers. **Source**: IEEE 754, binary64."""


def read_json(path: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """The inputs in a `.json` file: `{"name": nested lists}`, or `{"input_data": [...]}` in the model's order.

    Raises:
        InputError: no such file, no JSON, or neither form.
        InterfaceMismatchError: numbers that the interface's type cannot hold.
    """
    lists, by_position = read_lists(path, {port.tensor: port.shape for port in manifest.inputs})
    ports = {port.tensor: port for port in manifest.inputs}
    arrays = {name: array_of(value, ports.get(name), f"{path} `{name}`") for name, value in lists.items()}
    if not by_position:
        return arrays
    return {name: _shaped(array, ports[name], manifest) for name, array in arrays.items()}


def read_lists(path: Path, shapes: Mapping[str, Shape | None]) -> tuple[dict[str, object], bool]:
    """The nested lists in a `.json` file by name, and whether they were given by position.

    Args:
        path: of the file.
        shapes: of the tensors, by name, in the order of the form without names.

    Raises:
        InputError: no such file, no JSON, or neither form.
    """
    named = json_object(path, expected='{"name": lists} or {"input_data": [lists]}')
    if "input_data" not in named or "input_data" in shapes:
        return named, False
    if others := [name for name in named if name != "input_data"]:  # who reads names would read something else
        raise InputError(str(path), "says two things: values by name beside `input_data`", got=", ".join(others)[:200])
    return _positional(named["input_data"], shapes, str(path)), True


def array_of(value: object, port: Port | None, subject: str) -> np.ndarray:
    """Nested lists of numbers as an array of a port's type; of numpy's choice where no port has that name.

    A decimal becomes the nearest float of the type; nothing else about a number may change.

    Raises:
        InputError: ragged lists, or something else than numbers.
        InterfaceMismatchError: the type cannot hold a number.
    """
    try:
        array = np.array(value)
    except (ValueError, OverflowError, RecursionError):
        raise InputError(subject, "is no regular array: lists of one level must have one length") from None
    if array.dtype == np.float64 and np.abs(array).max(initial=0) >= _EXACT and not _are_floats(value):
        raise InputError(subject, "holds a whole number that no float64 is, among decimals")
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(np.int64)  # an empty list says nothing of its type
    if array.dtype.kind in "iuf" and _holds_booleans(value):
        raise InputError(subject, "holds booleans among numbers")
    if array.dtype.kind not in "biuf":
        raise InputError(subject, "holds something else than numbers", got=repr(value)[:80])
    return array if port is None else _cast(array, numpy_dtype(port.dtype), subject)


def _are_floats(value: object) -> bool:
    """Whether nested lists hold no whole number that float64 would change."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += cast(list[object], item)
        elif isinstance(item, int) and abs(item) >= _EXACT and int(float(item)) != item:
            return False
    return True


def _holds_booleans(value: object) -> bool:
    """Whether nested lists hold a truth value somewhere, which numpy makes a number where others are."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            known = cast(list[object], item)
            if bool in set(map(type, known)):
                return True
            pending += [inner for inner in known if isinstance(inner, list)]
    return False


def in_type(array: np.ndarray, dtype: np.dtype[np.generic]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in another type, and which of them it cannot hold; a decimal becomes the nearest float.

    A sign that changes tells where the way back would bring the number again: -1 is 2^64 - 1 and -1 again.
    """
    with np.errstate(all="ignore"):
        found = array.astype(dtype)
        if array.dtype.kind == "f" and dtype.kind not in "biu":
            return found, np.isfinite(array) & ~np.isfinite(found.astype(np.float64))
        changed = found.astype(array.dtype) != array
        if array.dtype.kind in "iu" and dtype.kind in "iu":
            changed = changed | (np.sign(found) != np.sign(array))
    return found, changed


def _cast(array: np.ndarray, dtype: np.dtype[np.generic], subject: str) -> np.ndarray:
    found, wrong = in_type(array, dtype)
    if wrong.any():
        number = array[wrong].reshape(-1)[0]
        raise InterfaceMismatchError(subject, f"{number} does not fit the input's type", expected=dtype.name)
    return found


def _positional(data: object, shapes: Mapping[str, Shape | None], subject: str) -> dict[str, object]:
    """ezkl's form: one list an input, nested or flat; for a single input its nested lists themselves will do."""
    if not isinstance(data, list):
        raise InputError(subject, "`input_data` is no list")
    items = cast(list[object], data)
    if len(shapes) == 1 and (len(items) != 1 or _fits(items, *shapes.values())):
        items = [items]
    if len(items) != len(shapes):
        raise InputError(subject, "`input_data` has another number of inputs", expected=len(shapes), got=len(items))
    return dict(zip(shapes, items, strict=True))


def _fits(items: list[object], shape: Shape | None) -> bool:
    """Whether nested lists are themselves a value of an input: as deep, and as long wherever its size is fixed."""
    lengths, level = list[int](), cast(object, items)
    while isinstance(level, list):
        known = cast(list[object], level)
        lengths.append(len(known))
        level = known[0] if known else None
    if shape is None or len(lengths) != len(shape):
        return False
    return all(not isinstance(dim, int) or dim == length for dim, length in zip(shape, lengths, strict=True))


def _shaped(array: np.ndarray, port: Port, manifest: Manifest) -> np.ndarray:
    """A flat list in the shape of its input, at the sizes of the capture, if it has as many elements."""
    if port.shape is None or array.ndim == len(port.shape) or array.ndim != 1:
        return array
    hints: Mapping[str, int] = {symbol.name: symbol.hint for symbol in manifest.symbols}
    try:
        shape = evaluate_shape(port.shape, hints)
    except GraphError:
        return array
    return array.reshape(shape) if prod(shape) == array.size else array
