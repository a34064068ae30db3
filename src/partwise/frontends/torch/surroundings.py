"""What must be so around a module while it is exported or asked for its own answer, and is restored after."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from partwise.extras import require

__all__ = ["quiet", "without_cache", "without_lines"]


@contextmanager
def without_cache(module: Any) -> Generator[None]:
    """A Hugging Face model without its growing K/V cache, whose objects cannot cross an export.

    The config of every submodule counts: the two stacks of T5 hold copies of the model's.
    """
    configs = {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}
    cached = [config for config in configs.values() if getattr(config, "use_cache", None)]
    try:
        for config in cached:
            config.use_cache = False
        yield
    finally:
        for config in cached:
            config.use_cache = True


@contextmanager
def without_lines() -> Generator[None]:
    """Nodes that do not know their line: torch would format the whole call stack, ours included, for every one."""
    config = require("torch.fx.config")
    before = getattr(config, "do_not_emit_stack_traces", False)
    try:
        config.do_not_emit_stack_traces = True
        yield
    finally:
        config.do_not_emit_stack_traces = before


@contextmanager
def quiet() -> Generator[None]:
    """No warnings and no printed graphs from torch: what matters of a failed export is in its exception.

    What the module itself prints goes to stderr: stdout is for our own records.
    """
    logger = logging.getLogger("torch")
    before = logger.level
    with warnings.catch_warnings(), redirect_stdout(sys.stderr), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(before)
