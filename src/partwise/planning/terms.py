"""The terms on which a plan is sought: what every question to the planner may say beside its limits and objectives."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.hardware import REFERENCE_CLUSTER, Cluster
from partwise.ir import Contraction
from partwise.planning.constraints import UNCONSTRAINED, Constraints
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import rate_table
from partwise.planning.records import Plan
from partwise.planning.reserve import NOTHING, Reserve
from partwise.profiling import Profile, Rules

__all__ = ["USUAL", "Terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Where the stages may run, what every plan keeps, and who looks for it how long."""

    cluster: Cluster = REFERENCE_CLUSTER
    """The devices; by default as many of the reference device as are asked for."""
    constraints: Constraints = UNCONSTRAINED
    """What runs where, what stays together."""
    reserve: Reserve = NOTHING
    """What every stage's memory holds beside weights and activations."""
    fusion: Rules = Rules.NONE
    """Which nodes run as one kernel where they share a stage; a cut inside a fused unit costs what fusion saved."""
    solver: str = "auto"
    """A name of `choose_solver.SOLVERS`, or `auto`."""
    effort: int = 10
    """In steps of the solver's own: orders tried, ideals looked at."""
    seed: int = 0
    """Of the random orders among them."""

    @classmethod
    def of(cls, plan: Plan) -> Terms:
        """Those that a plan was sought on; who looked for it how long is not in its record."""
        return cls(cluster=plan.cluster, constraints=plan.constraints, reserve=plan.reserve, fusion=plan.fusion)

    def evaluator(self, contraction: Contraction, profile: Profile) -> Evaluator:
        """Prices divisions of a graph with these costs on these terms."""
        return Evaluator(contraction, rate_table(contraction, profile, self.cluster, self.reserve, self.fusion))


USUAL = Terms()
