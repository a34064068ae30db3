"""What a framework raised, as something that a scheduler can act on."""

from __future__ import annotations

import pytest

from partwise.runtime.engines.failures import engine_failure


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("whatever"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 4 bytes"), "memory"),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "memory"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "failed"),
    ],
)
def test_memory_is_told_from_failure(error: Exception, kind: str) -> None:
    found = engine_failure("segment 1", "torch failed", error)
    assert found.kind == kind
    assert str(error)[:20] in str(found)
    assert found.subject == "segment 1"


def test_a_framework_out_of_memory_is_told_as_such() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 58)
    assert engine_failure("segment", "torch failed", caught.value).kind == "memory"
