"""Let onnxruntime optimize the whole model once; what it writes is the graph that is planned, cut and run.

An optimizer at work on each segment would fuse otherwise at every cut and change the last bits; at work once on
the whole, before the cut, it changes nothing afterwards (docs/capture.md).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.errors import InputError, ModelError, UnsafeFileError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.onnx.bodies import lift_weights

__all__ = ["LEVELS", "Optimized", "open_session", "optimize", "refusal", "writing"]

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Ours -> onnxruntime's. `all` writes the memory layout of this kind of CPU; the others are portable."""
_MODEL, _WEIGHTS = "model.onnx", "weights.bin"
_EXTERNAL_BYTES = "1024"
"""Weights above this size go to the file beside the graph."""
_ERRORS_ONLY = 4
_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?|/onnxruntime_src/.*?\) (?=[A-Z\[])"
)
"""What onnxruntime puts before its reasons: codes, the path once more, lines of its source."""
_UNSAFE = ("escapes", "outside", "path traversal", "symlink", "symbolic link")


@dataclass(slots=True, weakref_slot=True, eq=False)
class Optimized:
    """An optimized model on disk; the files go when this object does."""

    folder: Path
    """Where the weights' file lies."""
    model: Any = None
    """`ModelProto`; large tensors refer to a file in the folder."""

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def optimize(path: Path, level: str, fixed: Any = None) -> Optimized:
    """Optimize a model at a level.

    Args:
        path: the ONNX file.
        level: a key of `LEVELS`.
        fixed: a `ModelProto` with other input sizes, to be used instead of the file's own graph.

    Raises:
        ModelError, UnsupportedOpError: onnxruntime refuses the model.
        InputError: no such level, or the disk refuses.
    """
    if level not in LEVELS:
        raise InputError(f"--optimize {level}", "no such level", expected=", ".join(LEVELS))
    onnx = require("onnx")
    with writing(tempfile.gettempdir()):
        optimized = Optimized(Path(tempfile.mkdtemp(prefix="partwise-onnx-")))
    target = optimized.folder / _MODEL
    saving = {
        "session.optimized_model_external_initializers_file_name": _WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": _EXTERNAL_BYTES,
    }
    beside = {"session.model_external_initializers_file_folder_path": str(path.parent.resolve())}
    entries = {} if fixed is None else beside
    source = str(path) if fixed is None else fixed.SerializeToString()
    try:
        open_session(source, str(path), level, entries | saving, optimized_model_filepath=str(target))
    except ModelError:
        open_session(source, str(path), level, entries)  # raises again where the model is at fault, not the disk
        raise _unwritable(str(optimized.folder)) from None
    optimized.model = onnx.load(target, load_external_data=False)
    lift_weights(optimized.model.graph)
    return optimized


@contextmanager
def writing(folder: str | Path) -> Generator[None]:
    """While this lasts, what the disk refuses is an error of ours."""
    try:
        yield
    except OSError as error:
        raise _unwritable(str(folder), error.strerror or "") from None


def _unwritable(folder: str, why: str = "") -> InputError:
    what = "the optimized model cannot be written here" + (f" ({why})" if why else "")
    return InputError(folder, what, hint="is the disk full? TMPDIR names another folder.")


def open_session(
    source: str | bytes, subject: str, level: str = "off", entries: dict[str, str] | None = None, **options: Any
) -> Any:
    """A session of onnxruntime for looking at a model rather than running it fast.

    Args:
        source: a path or a serialized model.
        subject: what an error is about.
        level: of its optimizer.
        entries: configuration by onnxruntime's keys.
        options: attributes of `SessionOptions`.
    """
    ort = require("onnxruntime")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[level])
    settings.log_severity_level = _ERRORS_ONLY
    for name, value in options.items():
        setattr(settings, name, value)
    # Packed copies of the weights serve speed alone, and nothing is run here for speed.
    for key, value in {"session.disable_prepacking": "1", **(entries or {})}.items():
        settings.add_session_config_entry(key, value)
    try:
        return ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise refusal(subject, error) from error


def refusal(subject: str, error: Exception) -> Exception:
    """onnxruntime's refusal of a model, as one of our errors."""
    text = _NOISE.sub("", " ".join(str(error).split())).strip()[:300]
    if any(word in text.lower() for word in _UNSAFE):
        return UnsafeFileError(subject, f"onnxruntime refuses its external data: {text}")
    if type(error).__name__ == "NotImplemented":
        return UnsupportedOpError(subject, f"onnxruntime has no kernel for an operator: {text}")
    newer = "IR version" in text or "opset" in text
    hint = "it was written for a newer onnxruntime: lower its ir_version, or export it for an older opset."
    return ModelError(subject, f"onnxruntime cannot load it: {text}", hint=hint if newer else "")
