"""The cost of a proof as a sum over nodes and boundary values: what a solver can add up.

At reference settings and without the rounding up to whole blocks of columns; `proof_choice` prices a finished segment
in full. Integer mode, convolutions and pooling as `verification.zk.circuits` rewrites them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from weakref import ref

from partwise.ir import Graph
from partwise.profiling.proof import ProofStep, ProofWork, count_cells
from partwise.profiling.proof_rates import proof_rates
from partwise.profiling.proof_work import node_work

__all__ = ["ProofLine", "node_proof_seconds", "proof_line"]

COLUMNS, LEGS = 2, 3
"""Reference: the columns that most choices of `proof_choice` have, and digits for values below 2^30 at k = 10."""

_LAST: list[tuple[ref[Graph], tuple[tuple[str, int], ...], tuple[float, ...]]] = []
"""The last graph asked about and its answer: a search prices one graph's divisions many times over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofLine:
    """CPU-seconds of one thread."""

    circuit_s: float
    """Of a circuit at all."""
    given_s: float
    """Of an element that it receives."""
    result_s: float
    """Of an element that it gives away."""


@cache
def proof_line() -> ProofLine:
    """What a circuit and its boundary take at reference settings."""
    return ProofLine(
        circuit_s=proof_rates().prove_s[0],
        given_s=_seconds((ProofWork(ProofStep.GIVEN, 1),)),
        result_s=_seconds((ProofWork(ProofStep.RESULT, 1),)),
    )


def node_proof_seconds(graph: Graph, sizes: Mapping[str, int]) -> tuple[float, ...]:
    """To prove each node [CPU-seconds], its boundary left out.

    Args:
        graph: what is proved.
        sizes: a value for each of its symbols.
    """
    known, asked = dict(sizes), tuple(sizes.items())
    if not _LAST or _LAST[0][0]() is not graph or _LAST[0][1] != asked:
        found = tuple(_seconds(node_work(graph, index, known)) for index in range(len(graph.nodes)))
        _LAST[:] = [(ref(graph), asked, found)]
    return _LAST[0][2]


def _seconds(work: tuple[ProofWork, ...]) -> float:
    """Products by whichever way is cheaper."""
    if not work:
        return 0.0
    rates = proof_rates().prove_s
    plain, checked = count_cells(work, COLUMNS, LEGS)
    summed, _ = count_cells(work, COLUMNS, LEGS, product_checks=False)
    return min(plain * rates[2] + checked * rates[3], summed * rates[2])
