"""Engines: a segment and values in, values out. The table is static; an engine is imported when it is chosen."""

from __future__ import annotations

import importlib

from partwise.errors import InputError
from partwise.runtime.engines.engine import Engine, EngineSettings, LoadedSegment, NodeObserver

__all__ = ["ENGINES", "Engine", "EngineSettings", "LoadedSegment", "NodeObserver", "make_engine"]

ENGINES = {
    "torch": "partwise.runtime.engines.torch_engine:TorchEngine",
    "onnxruntime": "partwise.runtime.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "null": "partwise.runtime.engines.null_engine:NullEngine",
}


def make_engine(name: str, threads: int) -> Engine:
    """An engine by name.

    Args:
        name: a key of `ENGINES`.
        threads: how many threads its operators use.

    Raises:
        InputError: no such engine, or fewer than one thread.
        MissingExtraError: its library is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"engine `{name}`", "is unknown", expected=", ".join(ENGINES))
    if threads < 1:
        raise InputError("threads", "must be at least 1", got=threads)
    module, _, attribute = ENGINES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(threads)
