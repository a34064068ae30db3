"""What a user asks of single nodes, and what that leaves to choose.

In: a TOML text, a contracted graph, a cluster. Out: `Constraints`; `Settled`, the units of choice and their homes.
Never: a choice; what cannot be kept is refused by name.
"""

from partwise.planning.constraints.records import UNCONSTRAINED, Constraints, Pin, parse_constraints
from partwise.planning.constraints.settle import Settled, nodes_named, settle, stated_groups

__all__ = [
    "UNCONSTRAINED",
    "Constraints",
    "Pin",
    "Settled",
    "nodes_named",
    "parse_constraints",
    "settle",
    "stated_groups",
]
