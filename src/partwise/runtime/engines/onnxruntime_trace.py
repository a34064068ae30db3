"""Times of single nodes, from onnxruntime's own profiler."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from partwise.runtime.engines.engine import NodeObserver

__all__ = ["observe_nodes"]

_KERNEL = "_kernel_time"
_RUN = "model_run"


@contextmanager
def observe_nodes(session: Any, observe: NodeObserver | None) -> Generator[None]:
    """Tell an observer of each node that runs inside; nothing at all without one.

    Args:
        session: made with `enable_profiling`, for this run alone: a profile ends with its session.
        observe: called after the run, in the nodes' order.
    """
    if observe is None:
        yield
        return
    start = time.monotonic()
    try:
        yield
    finally:
        path = Path(session.end_profiling())
        events = json.loads(path.read_text())
        path.unlink()
    origin = next((event["ts"] for event in events if event["name"] == _RUN), 0)
    for event in events:
        if event["name"].endswith(_KERNEL):
            begin = start + (event["ts"] - origin) / 1e6  # microseconds
            observe(event["name"].removesuffix(_KERNEL), begin, begin + event["dur"] / 1e6)
