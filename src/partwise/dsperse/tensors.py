"""Requests and answers as JSON: `{"name": nested lists}`, or `{"input_data": [...]}` in the model's order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.runtime.archive import read_archive
from partwise.runtime.nested import array_of

__all__ = ["read_tensors", "write_tensors"]


def read_tensors(path: Path, wanted: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """Tensors by name, from anywhere.

    Args:
        path: `.json` or `.npz`.
        wanted: names and shapes, for the form without names; a flat list takes its tensor's shape.

    Raises:
        InputError: it cannot be read, or holds no tensors.
    """
    if path.suffix == ".npz":
        return dict(read_archive(path))
    try:
        data: Any = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is not JSON ({str(error)[:200] or 'nested too deep'})") from None
    if not isinstance(data, dict):
        raise InputError(str(path), "holds no tensors", expected='{"name": lists} or {"input_data": [lists]}')
    named = cast(dict[str, Any], data)
    shapes = dict(wanted)
    if "input_data" in named and "input_data" not in shapes:
        named = _positional(named["input_data"], wanted, str(path))
    return {name: _shaped(array_of(value, None, f"{path} `{name}`"), shapes.get(name)) for name, value in named.items()}


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Tensors as JSON whose numbers read back as the same floats."""
    write_whole(path, canonical_json({name: array.tolist() for name, array in tensors.items()}))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names stand once: of two values one reader takes the first, another the last."""
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _positional(values: Any, wanted: Sequence[tuple[str, tuple[int, ...]]], subject: str) -> dict[str, Any]:
    if not isinstance(values, list) or not values:
        raise InputError(subject, "`input_data` is no list of values")
    items = cast(list[Any], values)
    if len(wanted) == 1 and (len(items) != 1 or np.shape(items) == wanted[0][1]):
        items = [items]
    if len(items) != len(wanted):
        raise InputError(subject, "`input_data` has another number of inputs", expected=len(wanted), got=len(items))
    return {name: item for (name, _), item in zip(wanted, items, strict=True)}


def _shaped(array: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    if shape is None or array.ndim == len(shape) or array.size != prod(shape):
        return array
    return array.reshape(shape)
