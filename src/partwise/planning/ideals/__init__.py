"""The exact optimum over all acyclic partitions: a dynamic program over predecessor-closed sets (ideals).

In: an `Instance` (arrays). Out: an `Answer`, the best placement with a lower bound.
Never: a graph, a record of a plan, a clock; the same arguments give the same answer.
"""

from partwise.planning.ideals.instance import Cap, Channel, Instance
from partwise.planning.ideals.solve import Answer, Placed, solve_ideals

__all__ = ["Answer", "Cap", "Channel", "Instance", "Placed", "solve_ideals"]
