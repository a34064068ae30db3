"""Partwise: splits a neural network into parts, runs the parts anywhere, and proves what ran.

The whole product is six functions: model → `capture` → graph → `profile` → profile → `plan` → plan → `cut` →
package → `run` → run → `verify` → verdict.
"""

from partwise.api import capture, cut, plan, profile, run

__all__ = ["capture", "cut", "plan", "profile", "run"]
