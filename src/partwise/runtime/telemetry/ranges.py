"""Ranges that a profiler shows around each task: `PARTWISE_RANGES=nvtx` (Nsight) or `itt` (VTune), off by default.

torch's own bindings are used: `torch.cuda.nvtx` needs a CUDA build, `torch.profiler.itt` one for Intel processors.
Worker processes inherit the environment, so the variable reaches every stage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from partwise.errors import InputError
from partwise.extras import require

__all__ = ["RANGES", "annotated"]

RANGES = "PARTWISE_RANGES"
_MODULES = {"nvtx": "torch.cuda.nvtx", "itt": "torch.profiler.itt"}
_NONE = nullcontext()


def annotated(*name: object) -> AbstractContextManager[None]:
    """A range of this name, in words, around a block, where the environment asks for ranges.

    Raises:
        InputError: it asks for a kind that there is not, or that this build of torch lacks.
        MissingExtraError: torch is not installed.
    """
    kind = os.environ.get(RANGES)
    return _range(kind, " ".join(map(str, name))) if kind else _NONE


@contextmanager
def _range(kind: str, name: str) -> Generator[None]:
    push, pop = _calls(kind)
    push(name)
    try:
        yield
    finally:
        pop()


@cache
def _calls(kind: str) -> tuple[Callable[[str], Any], Callable[[], Any]]:
    if kind not in _MODULES:
        raise InputError(RANGES, "is no kind of ranges", expected=" or ".join(_MODULES), got=kind)
    module = require(_MODULES[kind])
    torch = require("torch")
    there = torch.cuda.is_available() if kind == "nvtx" else module.is_available()
    if not there:
        raise InputError(f"{RANGES}={kind}", "this build of torch cannot mark ranges so", got=torch.__version__)
    return module.range_push, module.range_pop
