"""Execution providers of onnxruntime, by the device that a user names.

A provider takes the nodes that it knows, and the CPU's takes the rest, in the same precision: that is onnxruntime's
way, and the settings name both. A provider that could not be used at all is an error, never a silent fallback.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from partwise.errors import EngineError, EngineMissingError, InputError
from partwise.extras import require

__all__ = ["PROVIDERS", "Provider", "find_provider"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
}
"""Word of a user -> onnxruntime's name."""
_WHEELS = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "rocm": "onnxruntime-rocm",
           "dml": "onnxruntime-directml"}  # fmt: skip
_CPU = PROVIDERS["cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider with its options."""

    device: str
    """As a run's record says it."""
    name: str
    options: dict[str, str] = field(default_factory=dict[str, str])
    precision: str = "as stored"

    @property
    def is_cpu(self) -> bool:
        """Whether it is the one that computes exactly."""
        return self.name == _CPU

    @property
    def requested(self) -> list[Any]:
        """What a session is asked for."""
        return [_CPU] if self.is_cpu else [(self.name, self.options), _CPU]

    def refuse_other(self, segment: str, got: Sequence[str]) -> None:
        """Raise where a session dropped the provider.

        Raises:
            EngineError: it did.
        """
        if self.name not in got:
            raise EngineError(segment, "onnxruntime dropped the provider", expected=self.name, got=", ".join(got))


def find_provider(device: str, threads: int) -> Provider:
    """The provider for a device: `cpu`, `cuda`, `cuda:1`, `openvino`, `openvino:GPU`.

    Raises:
        InputError: an unknown word.
        EngineMissingError: this build of onnxruntime lacks the provider.
    """
    word, _, detail = device.partition(":")
    if word not in PROVIDERS:
        raise InputError(f"onnxruntime's device `{device}`", "is unknown", expected=", ".join(PROVIDERS))
    name = PROVIDERS[word]
    here: list[str] = require("onnxruntime").get_available_providers()
    if name not in here:
        hint = f"pip install {_WHEELS[word]} in an environment of its own." if word in _WHEELS else ""
        raise EngineMissingError(f"onnxruntime's provider `{name}`", "is not in this build",
                                 expected=", ".join(here), hint=hint)  # fmt: skip
    if word == "openvino":
        return _openvino(detail or "CPU", threads)
    options = {"device_id": detail or "0"} if word == "cuda" else {}
    if word == "cuda":
        options["use_tf32"] = "0"  # on by default, and 10 bits of mantissa
    return Provider(device=device, name=name, options=options)


def _openvino(device: str, threads: int) -> Provider:
    """OpenVINO's provider, told what the OpenVINO engine tells: parity first (`openvino_engine`)."""
    wanted = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
    if device == "CPU":
        wanted |= {"INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": "1", "ENABLE_CPU_PINNING": "NO"}
    options = {"device_type": device, "load_config": json.dumps({device: wanted})}
    return Provider(device=f"openvino:{device}", name=PROVIDERS["openvino"], options=options, precision="float32")
