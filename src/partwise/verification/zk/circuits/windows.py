"""Which elements of an image each position of a sliding window reads, as constant indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import UnsupportedOpError

__all__ = ["Sliding", "indices", "sliding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliding:
    """A window over spatial dims, as ONNX describes it."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    """Padding before each dim."""
    places: tuple[int, ...]
    """Positions of the window along each dim: the output's spatial shape."""


def sliding(node: str, attributes: dict[str, Any], image: Sequence[int], places: Sequence[int]) -> Sliding:
    """Read off a node's attributes; the output's shape says how far a window reaches beyond the image.

    Raises:
        UnsupportedOpError: padding by name other than none, which exporters write out.
    """
    rank = len(image)
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnsupportedOpError(f"node `{node}`", "pads by name", hint="write its pads out")
    return Sliding(
        image=tuple(image),
        kernel=tuple(attributes["kernel_shape"]),
        strides=tuple(attributes.get("strides") or [1] * rank),
        dilations=tuple(attributes.get("dilations") or [1] * rank),
        begins=tuple((attributes.get("pads") or [0] * 2 * rank)[:rank]),
        places=tuple(places),
    )


def indices(window: Sliding) -> NDArray[np.int64]:
    """[places, kernel] flat index into the image, -1 in the padding."""
    found = np.empty((prod(window.places), prod(window.kernel)), np.int64)
    for row, place in enumerate(product(*map(range, window.places))):
        for column, step in enumerate(product(*map(range, window.kernel))):
            found[row, column] = _flat(window, place, step)
    return found


def _flat(window: Sliding, place: tuple[int, ...], step: tuple[int, ...]) -> int:
    index = 0
    for dim, size in enumerate(window.image):
        at = place[dim] * window.strides[dim] + step[dim] * window.dilations[dim] - window.begins[dim]
        if not 0 <= at < size:
            return -1
        index = index * size + at
    return index
