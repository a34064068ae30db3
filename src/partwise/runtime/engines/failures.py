"""What a framework raised, as an error that a scheduler can act on: out of memory, or failed."""

from __future__ import annotations

from partwise.errors import EngineError, EngineMemoryError

__all__ = ["engine_failure"]

_MEMORY_TYPES = frozenset({"OutOfMemoryError", "MemoryError", "bad_alloc"})
_MEMORY_WORDS = (
    "bad_alloc",  # C++; onnxruntime and OpenVINO on the CPU
    "failed to allocate memory",  # onnxruntime's arenas
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",
    "out of memory",  # CUDA, XPU
    "alloc_failed",  # cuBLAS, cuDNN
    "out_of_resources",  # OpenCL
    "mem_object_allocation_failure",
)
_LENGTH = 300


def engine_failure(subject: str, what: str, error: BaseException, hint: str = "") -> EngineError:
    """The error for a segment.

    Args:
        subject: the segment's name.
        what: what happened, before the framework's own words.
        error: what the framework raised; its type's name and its text decide.
        hint: what to do now.
    """
    text = " ".join(str(error).split())[:_LENGTH] or type(error).__name__
    found = type(error).__name__ in _MEMORY_TYPES or any(word in text.lower() for word in _MEMORY_WORDS)
    return (EngineMemoryError if found else EngineError)(subject, f"{what}: {text}", hint=hint)
