"""Times of single nodes, from onnxruntime's own profiler.

A profile ends with its session, so an observed run opens one of its own: the times of the nodes are right, the
time of their segment has the opening in it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from partwise.runtime.engines.engine import NodeObserver

__all__ = ["run_observed"]

_KERNEL, _RUN = "_kernel_time", "model_run"


def run_observed(
    compute: Callable[..., list[np.ndarray]],
    open_session: Callable[..., Any],
    given: Mapping[str, np.ndarray],
    observe: NodeObserver,
) -> list[np.ndarray]:
    """Run once with the profiler on, and tell of each node in the order of their work.

    Args:
        compute: runs a session on inputs.
        open_session: makes the session, with these attributes of `SessionOptions`.
        given: the inputs by name.
        observe: told of each node after the run.
    """
    with tempfile.TemporaryDirectory(prefix="partwise-trace-") as folder:
        session = open_session(enable_profiling=True, profile_file_prefix=f"{folder}/profile")
        start = time.monotonic()
        results = compute(given, session)
        events = json.loads(Path(session.end_profiling()).read_text())
    # The profiler counts microseconds from its own start; the run is an event too, and `start` is when it began.
    origin = next((event["ts"] for event in events if event["name"] == _RUN), 0)
    for event in events:
        if event["name"].endswith(_KERNEL):
            begin = start + (event["ts"] - origin) / 1e6
            observe(event["name"].removesuffix(_KERNEL), begin, begin + event["dur"] / 1e6)
    return results
