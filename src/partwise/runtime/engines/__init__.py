"""Engines: a segment and values in, values out. The table is static; an engine is imported when it is chosen."""

from __future__ import annotations

import importlib

from partwise.errors import InputError
from partwise.runtime.engines.engine import Engine, EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.fake import FakeEngine
from partwise.runtime.engines.spec import engine_names, engine_text, on_cpu, parse_engine, stage_engines

__all__ = [
    "ENGINES",
    "Engine",
    "EngineSettings",
    "LoadedSegment",
    "NodeObserver",
    "engine_names",
    "engine_text",
    "make_engine",
    "on_cpu",
    "stage_engines",
]

ENGINES = {
    "torch": "partwise.runtime.engines.torch_engine:TorchEngine",
    "compile": "partwise.runtime.engines.compile_engine:CompileEngine",
    "onnxruntime": "partwise.runtime.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "openvino": "partwise.runtime.engines.openvino_engine:OpenVinoEngine",
    "null": "partwise.runtime.engines.null_engine:NullEngine",
}


def make_engine(name: str, threads: int) -> Engine:
    """An engine by name.

    Args:
        name: a key of `ENGINES`, perhaps with a device, perhaps a fake one (`engines.spec`).
        threads: how many threads its operators use.

    Raises:
        InputError: no such engine or device, or fewer than one thread.
        MissingExtraError: its library is not installed.
        EngineMissingError: its device is not here.
    """
    spec = parse_engine(name)
    if spec.name not in ENGINES:
        raise InputError(f"engine `{spec.name}`", "is unknown", expected=", ".join(ENGINES))
    if threads < 1:
        raise InputError("threads", "must be at least 1", got=threads)
    module, _, attribute = ENGINES[spec.name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)(threads, spec.device or "cpu")
    return engine if spec.fake is None else FakeEngine(engine, spec.fake)
