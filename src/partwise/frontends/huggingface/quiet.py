"""transformers without its own reports: what matters of them is in our errors and notes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from partwise.extras import require

__all__ = ["quiet"]


@contextmanager
def quiet() -> Generator[None]:
    """While this lasts, no bars and no messages below the critical."""
    reporting = require("transformers.utils.logging")
    level, bars = reporting.get_verbosity(), reporting.is_progress_bar_enabled()
    reporting.set_verbosity(reporting.CRITICAL)
    reporting.disable_progress_bar()
    try:
        yield
    finally:
        reporting.set_verbosity(level)
        if bars:
            reporting.enable_progress_bar()
