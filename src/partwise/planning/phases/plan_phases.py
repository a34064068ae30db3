"""Plan each phase of a request alone, then compare all ways to serve both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from partwise.errors import InputError
from partwise.ir import Graph
from partwise.planning.phases.compare import Comparison
from partwise.planning.phases.records import PhasePlan
from partwise.planning.plan import plan
from partwise.planning.records import Limits, Objective
from partwise.planning.terms import USUAL, Terms
from partwise.profiling import Phase, Profile

__all__ = ["plan_phases"]


def plan_phases(
    graph: Graph,
    profiles: Mapping[Phase, Profile],
    limits: Limits,
    terms: Terms = USUAL,
    *,
    prompt: int,
    generate: int,
) -> PhasePlan:
    """The quickest way to serve one request.

    Args:
        graph: captured with a cache.
        profiles: its costs in each phase (`profiling.phase_sizes`), decode at the mean number of tokens.
        limits: what every stage keeps.
        terms: of the plan of each phase; K/V of prompt and answer are reserved unless they say otherwise.
        prompt: tokens of each sequence that are read.
        generate: tokens of each sequence that are made.

    Raises:
        InfeasibleError: no plan of some phase keeps the limits.
        InputError: no token to read or to make.
    """
    for name, count in (("--prompt", prompt), ("--generate", generate)):
        if count < 1:
            raise InputError(name, "must be at least 1", got=count)
    if terms.reserve.cache is None:
        terms = replace(terms, reserve=replace(terms.reserve, cache=prompt + generate))
    best = {phase: plan(graph, profile, limits, (Objective.LATENCY,), terms) for phase, profile in profiles.items()}
    return Comparison(graph, profiles, best, (prompt, generate)).answer()
