"""The onnxruntime engine: a segment as it was cut, with the optimizer off, because the whole went through it before.

Weights go in by name from memory of ours, 64-byte aligned: nothing is written to disk, no file is read, and no
tensor need fit into a protobuf. Operators outside the operator table are refused before onnxruntime sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import EngineError
from partwise.extras import require
from partwise.freed_memory import freed_memory
from partwise.machine import machine_kind, processor
from partwise.onnx_values import from_ort_value, is_plain, session_dtype, to_ort_value
from partwise.packaging import Segment
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.failures import engine_failure
from partwise.runtime.engines.onnxruntime_check import check_segment
from partwise.runtime.engines.onnxruntime_providers import Provider, find_provider
from partwise.runtime.engines.onnxruntime_trace import run_observed
from partwise.runtime.engines.own_memory import own_in_order

__all__ = ["OnnxRuntimeEngine"]

_CONFIGURATION = {
    # Between two segments the threads of the first would spin on while the second works.
    "session.force_spinning_stop": "1",
    # The same arithmetic whatever the machine's kind of denormal handling at start.
    "session.set_denormal_as_zero": "0",
}
_ERRORS_ONLY = 4


class OnnxRuntimeEngine:
    """onnxruntime: one operator at a time on its CPU provider, each on so many threads; or another provider."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        self._provider = find_provider(device, threads)
        self._settings = EngineSettings(
            engine="onnxruntime",
            version=require("onnxruntime").__version__,
            device=self._provider.device,
            threads=threads,
            precision=self._provider.precision,
            exact=self._provider.is_cpu,
            freed_memory=freed_memory(),
            processor=processor(),
        )

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        if segment.format is not ir.Format.ONNX:
            raise EngineError(segment.name, "is no ONNX segment", expected=ir.Format.ONNX, got=segment.format)
        machine = check_segment(segment)
        if machine is not None and machine != machine_kind():
            raise EngineError(
                segment.name,
                "is written in the memory layout of another kind of processor",
                expected=machine,
                got=machine_kind(),
                hint="cut the model with `--optimize extended`, which is portable.",
            )
        return OnnxSegment(segment, self._settings.threads, self._provider)


class OnnxSegment:
    """One segment as a session."""

    def __init__(self, segment: Segment, threads: int, provider: Provider) -> None:
        self._segment, self._threads, self._provider = segment, threads, provider
        # onnxruntime works on this memory itself: it must live as long as the session.
        self._weights = {name: np.asarray(value, order="C") for name, value in segment.weights.items()}
        self._session = self._open()
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._inputs, self._outputs = [value.name for value in inputs], [value.name for value in outputs]
        # Arrays go in and out as they are, some 70 µs a run sooner than through values of onnxruntime's own.
        self._plain = all(is_plain(session_dtype(value.type, value.name)) for value in (*inputs, *outputs))

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        del sizes  # onnxruntime reads them off the inputs
        given = {name: own_in_order(inputs[name]) for name in self._inputs}
        try:
            results = (
                self._compute(given) if observe is None else run_observed(self._compute, self._open, given, observe)
            )
        except Exception as error:
            raise engine_failure(self._segment.name, "onnxruntime failed", error) from error
        return dict(zip(self._outputs, results, strict=True))

    def _compute(self, given: Mapping[str, np.ndarray], session: Any = None) -> list[np.ndarray]:
        session = session or self._session
        if self._plain:
            return session.run(self._outputs, given)
        values = {name: to_ort_value(array) for name, array in given.items()}
        return [from_ort_value(result) for result in session.run_with_ort_values(self._outputs, values)]

    def _open(self, **options: Any) -> Any:
        ort = require("onnxruntime")
        settings = ort.SessionOptions()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        settings.intra_op_num_threads, settings.inter_op_num_threads = self._threads, 1
        settings.log_severity_level = _ERRORS_ONLY
        for key, value in _CONFIGURATION.items():
            settings.add_session_config_entry(key, value)
        for name, value in options.items():
            setattr(settings, name, value)
        names = list(self._weights)
        if names:
            settings.add_external_initializers(names, [to_ort_value(self._weights[name]) for name in names])
        try:
            session = ort.InferenceSession(self._segment.graph, settings, providers=self._provider.requested)
        except Exception as error:
            raise engine_failure(self._segment.name, "onnxruntime refuses it", error) from error
        session.disable_fallback()
        self._provider.refuse_other(self._segment.name, session.get_providers())
        return session
