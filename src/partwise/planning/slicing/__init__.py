"""Slicing: a graph laid out in one topological order, and the best way to cut that line into intervals.

In: a `Problem` and a `Demand`. Out: a `Solution`, exact for the orders and the boundaries that were tried.
Never: a graph divided to be asked about; every question is one about positions of a line.
"""

from partwise.planning.slicing.boundaries import narrowest
from partwise.planning.slicing.line import Line
from partwise.planning.slicing.room import Need, Room
from partwise.planning.slicing.solve import solve_slices

__all__ = ["Line", "Need", "Room", "narrowest", "solve_slices"]
