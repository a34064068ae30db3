"""Ranges that a profiler shows around each task: `PARTWISE_RANGES=nvtx` (Nsight) or `itt` (VTune), off by default.

torch's own bindings are used: `torch.cuda.nvtx` needs a CUDA build, `torch.profiler.itt` one for Intel processors.
Worker processes inherit the environment, so the variable reaches every stage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any

from partwise.errors import InputError
from partwise.extras import require

__all__ = ["RANGES", "Annotate", "annotation"]

RANGES = "PARTWISE_RANGES"
_MODULES = {"nvtx": "torch.cuda.nvtx", "itt": "torch.profiler.itt"}
_NONE = nullcontext()
Annotate = Callable[..., AbstractContextManager[None]]
"""A range of this name, in words, around a block."""


def annotation() -> Annotate:
    """What marks ranges where the environment asks for them, and does nothing where it does not.

    Raises:
        InputError: it asks for a kind that there is not, or that this build of torch lacks.
        MissingExtraError: torch is not installed.
    """
    kind = os.environ.get(RANGES)
    return partial(_range, *_calls(kind)) if kind else _nothing


def _nothing(*name: object) -> AbstractContextManager[None]:  # noqa: ARG001
    return _NONE


@contextmanager
def _range(push: Callable[[str], Any], pop: Callable[[], Any], *name: object) -> Generator[None]:
    push(" ".join(map(str, name)))
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
