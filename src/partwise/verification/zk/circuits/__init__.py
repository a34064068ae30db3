"""A segment's ONNX rewritten so that its circuit is small: same interface, fewer cells.

In: a float ONNX model with static shapes. Out: a `Circuit`: an ONNX model of the few operators that are cheap to
prove, and for each value that crosses its boundary how many binary digits after the point its integers have.
Never: another function than the model's. Each rewriting is checked against onnxruntime and, in integer mode, against
exact big integers (`exact`).
"""

from partwise.verification.zk.circuits.drawing import Circuit, CircuitPort
from partwise.verification.zk.circuits.exact import bounds, checks, evaluate
from partwise.verification.zk.circuits.lower import Drawn, draw, lower

__all__ = ["Circuit", "CircuitPort", "Drawn", "bounds", "checks", "draw", "evaluate", "lower"]
