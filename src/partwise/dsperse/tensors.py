"""Requests and answers as JSON: `{"name": nested lists}`, or `{"input_data": [...]}` in the model's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from partwise.digest import canonical_json
from partwise.errors import RunError
from partwise.files import write_whole
from partwise.runtime.archive import read_archive
from partwise.runtime.nested import array_of, read_lists

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
    shapes = dict(wanted)
    lists, _ = read_lists(path, shapes)
    return {name: _shaped(array_of(value, None, f"{path} `{name}`"), shapes.get(name)) for name, value in lists.items()}


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Tensors as JSON whose numbers read back as the same floats.

    Raises:
        RunError: a value that is no finite number, which JSON has no word for; nothing is written.
    """
    write_whole(path, canonical_json({name: _lists(name, array) for name, array in tensors.items()}))


def _lists(name: str, array: np.ndarray) -> object:
    plain = array if array.dtype.kind in "biuf" else array.astype(np.float64)  # bfloat16 and its like
    wrong = ~np.isfinite(plain)
    if wrong.any():
        raise RunError(f"`{name}`", "holds a value that is no finite number, and runs of slices keep values as JSON, "
                       "which has none", got=f"{plain[wrong][0]}, {int(wrong.sum())} of {plain.size} such values",
                       hint="`partwise cut` and `partwise run` keep every value.")  # fmt: skip
    return plain.tolist()


def _shaped(array: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """A flat list, or a single number, in its tensor's shape; other nesting says something else and stays as it is."""
    if shape is None or array.ndim == len(shape) or array.ndim > 1 or array.size != prod(shape):
        return array
    return array.reshape(shape)
