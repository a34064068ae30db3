"""The OpenVINO engine: ONNX segments, compiled by OpenVINO for one of its devices.

Parity first: left alone, OpenVINO's CPU computes float32 models in bfloat16, quantizes activations of compressed
weights and binds its threads to the first cores, so that two stages share one. All three are switched off, and what
the compiled segment then says of itself is read back: another precision than asked for is an error.
Source: measured on OpenVINO 2026.4.1, docs/engines.md.

It has no exact way: it fuses what it finds in a segment, and a cut decides what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import EngineError, EngineMissingError
from partwise.extras import require
from partwise.freed_memory import freed_memory
from partwise.machine import processor
from partwise.packaging import Segment
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.failures import engine_failure
from partwise.runtime.engines.onnx_weights import with_weights_as_inputs
from partwise.runtime.engines.onnxruntime_check import check_segment
from partwise.runtime.engines.own_memory import own_in_order

__all__ = ["OpenVinoEngine"]

_REFUSED = frozenset({"f64", "bf16"})
"""Element types in OpenVINO's words that numpy lacks, or that the CPU plugin would compute in another precision."""
_PORTABLE = "cut the model with `--optimize off`, whose operators are all ONNX's own."


class OpenVinoEngine:
    """OpenVINO on one of its devices."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        openvino = require("openvino")
        self._core, self._device = openvino.Core(), device.upper()
        here = self._core.available_devices
        if not _is_here(self._device, here):
            raise EngineMissingError(f"OpenVINO's device `{self._device}`", "is not here", expected=", ".join(here))
        self._settings = EngineSettings(
            engine="openvino",
            version=openvino.__version__.partition("-")[0],
            device=self._device.lower(),
            threads=threads,
            precision="float32",
            exact=False,
            freed_memory=freed_memory(),
            processor=processor(),
        )

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        if segment.format is not ir.Format.ONNX:
            raise EngineError(segment.name, "is no ONNX segment", expected=ir.Format.ONNX, got=segment.format)
        if (machine := check_segment(segment)) is not None:
            raise EngineError(segment.name, "is written in onnxruntime's own layout", got=machine, hint=_PORTABLE)
        try:
            return _OpenVinoSegment(segment, self._compiled(segment))
        except RuntimeError as error:
            raise engine_failure(segment.name, "OpenVINO refuses it", error, _PORTABLE) from error

    def _compiled(self, segment: Segment) -> Any:
        model = self._model(segment)
        for port in (*model.inputs, *model.outputs):
            _refuse_type(segment.name, port)
        compiled = self._core.compile_model(model, self._device, self._configuration())
        _refuse_other_precision(segment.name, compiled)
        return compiled

    def _model(self, segment: Segment) -> Any:
        """The segment's graph, its weights constants in our own memory: no file, no copy, no limit of protobuf."""
        data, weights = with_weights_as_inputs(segment)
        model = self._core.read_model(data)
        for parameter in list(model.get_parameters()):
            if name := next(iter(parameter.output(0).get_names() & weights.keys()), None):
                constant = require("openvino").op.Constant(weights[name], shared_memory=True)
                parameter.output(0).replace(constant.output(0))
                model.remove_parameter(parameter)
        model.validate_nodes_and_infer_types()
        return model

    def _configuration(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
            "PERFORMANCE_HINT": "LATENCY",
            "KV_CACHE_PRECISION": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        }
        if self._device == "CPU":
            wanted |= {
                "NUM_STREAMS": "1",
                "INFERENCE_NUM_THREADS": str(self._settings.threads),
                "ENABLE_CPU_PINNING": False,
            }
        known = self._core.get_property(self._device, "SUPPORTED_PROPERTIES")
        return {name: value for name, value in wanted.items() if name in known}


class _OpenVinoSegment:
    def __init__(self, segment: Segment, compiled: Any) -> None:
        self._segment = segment  # its weights are the compiled segment's memory
        self._request = compiled.create_infer_request()
        graph = require("onnx").ModelProto.FromString(segment.graph).graph
        self._inputs = _own_names(compiled.inputs, [value.name for value in graph.input], segment.name)
        self._outputs = _own_names(compiled.outputs, [value.name for value in graph.output], segment.name)

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        del sizes, observe  # it reads sizes off the inputs, and runs kernels of many nodes
        given = [own_in_order(inputs[name]) for name in self._inputs]
        try:
            results = self._request.infer(given, share_inputs=True, share_outputs=False)
        except (RuntimeError, ValueError, TypeError) as error:
            raise engine_failure(self._segment.name, "OpenVINO failed", error) from error
        return {name: results[number] for number, name in enumerate(self._outputs)}


def _is_here(device: str, here: list[str]) -> bool:
    """`GPU` is the first of `GPU.0` and `GPU.1`."""
    return any(known == device or known.partition(".")[0] == device for known in here)


def _refuse_type(name: str, port: Any) -> None:
    kind = port.get_element_type().get_type_name()
    if kind in _REFUSED:
        raise EngineError(f"{name}, `{port.get_any_name()}`", f"OpenVINO does not implement {kind} as it is stored")


def _refuse_other_precision(name: str, compiled: Any) -> None:
    got = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if got not in ("f32", "float32"):
        raise EngineError(name, "OpenVINO chose another precision", expected="f32", got=got)


def _own_names(ports: list[Any], wanted: list[str], segment: str) -> list[str]:
    """The names that the segment gives its inputs or outputs, of those that OpenVINO knows them by: it keeps their
    order, adds names of values that are the same, and of values made of sequences may keep no name."""
    if len(ports) != len(wanted):
        raise EngineError(segment, "OpenVINO has other inputs or outputs", expected=len(wanted), got=len(ports))
    known = [next((name for name in wanted if name in port.get_names()), None) for port in ports]
    return [wanted[number] if name is None else name for number, name in enumerate(known)]
