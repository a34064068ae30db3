"""Constraint programming over placements: any set of units on a device, or stages in a line, with a lower bound.

In: an `Instance` (arrays), and an answer to start from. Out: an `Arrangement`, priced exactly, with its bound.
Never: a graph, a clock; effort is deterministic time, and one worker searches, so the same arguments give the same
answer. The solver is CP-SAT of Google's OR-Tools (Apache-2.0), in the extra `solvers`.
"""

from partwise.planning.cpsat.solve import Arrangement, solve_cpsat

__all__ = ["Arrangement", "solve_cpsat"]
