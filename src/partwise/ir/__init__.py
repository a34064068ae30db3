"""The graph IR: the narrow waist between frontends and everything else.

In: what a frontend read. Out: `Graph`, its JSON, its digest, its checks, the operator table, and the
contraction that says which values can cross a cut. Never: a framework, a file, a clock, arithmetic on tensors.
"""

from partwise.ir.arguments import Argument, Enum, Ref, Sym
from partwise.ir.check import check_graph
from partwise.ir.contraction import Closure, Contraction, contract, storage_roots
from partwise.ir.dims import Dim
from partwise.ir.dtypes import DType
from partwise.ir.graph import Constant, Format, Graph, Mutation, Node, Output, Symbol, TensorSpec, Weight
from partwise.ir.operators import OPERATORS, Kind, Operator, operator
from partwise.ir.parts import Part, divide
from partwise.ir.prune import prune
from partwise.ir.serialize import graph_digest, graph_from_data, graph_to_data

__all__ = [
    "OPERATORS",
    "Argument",
    "Closure",
    "Constant",
    "Contraction",
    "DType",
    "Dim",
    "Enum",
    "Format",
    "Graph",
    "Kind",
    "Mutation",
    "Node",
    "Operator",
    "Output",
    "Part",
    "Ref",
    "Sym",
    "Symbol",
    "TensorSpec",
    "Weight",
    "check_graph",
    "contract",
    "divide",
    "graph_digest",
    "graph_from_data",
    "graph_to_data",
    "operator",
    "prune",
    "storage_roots",
]
