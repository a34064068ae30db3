"""Kernels for operators that torch lacks.

In: tensors. Out: tensors, by a named mode that the run claims. Never: a choice made in silence.
"""
