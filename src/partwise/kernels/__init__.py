"""Kernels of Partwise's own operators.

In: tensors. Out: tensors. A kernel has a name, its mode, which is part of what a run claims: two modes of one
operator may differ in the last bits. Never: a plan, a file, a choice made in silence.
"""

from partwise.kernels.experts import MODES, register_experts

__all__ = ["MODES", "register_experts"]
