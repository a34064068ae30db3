"""Placement workloads in the public benchmark's format: costs of nodes and edges, and no model behind them.

In: a file's JSON data. Out: a `Placement`, with a lower bound.
Never: a `Graph` or a `Plan`; the problem is the solvers' arrays, the prices are the file's.
"""

from partwise.planning.workload.graph import WorkloadGraph
from partwise.planning.workload.place import place
from partwise.planning.workload.records import Placement, PlacementStage, Workload, parse_workload

__all__ = ["Placement", "PlacementStage", "Workload", "WorkloadGraph", "parse_workload", "place"]
