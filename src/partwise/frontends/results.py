"""What a model's results are called: by their place in the structure that it returns, each name once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, count

__all__ = ["result_names"]


def result_names(paths: Iterable[Sequence[str]]) -> list[str]:
    """A name for each result, in order.

    Args:
        paths: of each result the keys and places that lead to it; none where the model returns one tensor.

    Returns:
        The keys joined by `_`, `output_<place>` for a place alone; `{1: …, "1": …}` gives `output_1`, `output_1_2`.
    """
    names = dict[str, None]()
    for path in paths:
        joined = "_".join(path)
        name = f"output_{joined}" if joined.isdigit() else joined or "output"
        others = (f"{name}_{number}" for number in count(2))
        names[next(free for free in chain((name,), others) if free not in names)] = None
    return list(names)
