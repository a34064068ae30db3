"""Room for Python's own stack of calls, so that tracing deep in it costs what it costs at the top.

CPython keeps the frames of calls in chunks of 16 KiB and frees a chunk when the last frame in it returns. A call
that is made again and again just where a chunk ends maps and unmaps memory each time (CPython issue 142183). Export
works a hundred frames deep: by the depth it was called from it took up to a third longer, in 80,000 page faults where
500 do (measured on MiniLM, Python 3.11; `benchmarks/first_way.py` has the times).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["with_room"]

Result = TypeVar("Result")

_SLOTS = 1 << 16
"""Of 8 bytes. A frame so large gets a chunk of its own, the next power of two: 1 MiB, of which half, 32 chunks of the
usual size, is left for the calls below it. The memory is reserved, and only touched where it is used."""


def with_room(call: Callable[[], Result]) -> Result:
    """What the call returns or raises; all calls within it share one chunk."""
    return call()


with_room.__code__ = with_room.__code__.replace(co_stacksize=_SLOTS)
