"""Partwise: splits a neural network into parts, runs the parts anywhere, and proves what ran.

The whole product is six functions: model → `capture` → graph → `profile` → profile → `plan` → plan → `cut` →
package → `run` → run → `verify` → verdict. They are imported when they are first asked for, so that a worker
process does not load what it never uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partwise.api import capture, cut, plan, profile, run, verify

__all__ = ["capture", "cut", "plan", "profile", "run", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'partwise' has no attribute {name!r}")
    from partwise import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
