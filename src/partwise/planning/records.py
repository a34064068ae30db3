"""What a plan is: stages, cuts, the value reached and how good it could be at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from partwise.hardware import REFERENCE_CLUSTER, Cluster
from partwise.ir import Graph
from partwise.planning.constraints import UNCONSTRAINED, Constraints
from partwise.planning.reserve import NOTHING, Reserve
from partwise.profiling import Rules

__all__ = ["Blend", "Bound", "Cut", "Level", "Limits", "Objective", "Plan", "Share", "Stage"]


class Objective(StrEnum):
    """What is made small."""

    STAGES = "stages"
    """The number of stages."""
    TRAFFIC = "traffic"
    """Bytes that cross between stages, a value counted once for each receiving stage."""
    BALANCE = "balance"
    """The largest compute time of a stage [s]."""
    BALANCE_MEMORY = "balance-memory"
    """The largest peak memory of a stage: weights and activations alive at once [bytes]."""
    THROUGHPUT = "throughput"
    """The largest time of a stage with its transfers, received and sent [s]: the pipeline's period. A value is
    a message: the link's latency and its bytes; a stage sends it once, however many stages receive it."""
    LATENCY = "latency"
    """Time of one request alone [s]: all stages one after the other, and every value that a stage receives."""
    ENERGY = "energy"
    """Of one request [J]: arithmetic, memory traffic and idle power of each stage's device while it computes."""
    COST = "cost"
    """Of one request [$]: each stage's device, paid for while it computes or receives."""
    DEVICES = "devices"
    """The number of devices used."""
    PROOF = "proof"
    """CPU-seconds to prove the largest stage's circuit, where segments are proved one by one: cells of its nodes
    and of the values that cross its boundary (docs/proof-cost.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What no stage may exceed; None is no limit."""

    memory_bytes: int | None = None
    """Weights and the liveness peak of a stage."""
    stages: int | None = None
    """Exactly so many stages."""
    max_parameters: int | None = None
    max_layers: int | None = None
    """A layer is a node with weights and the weightless nodes after it."""

    @property
    def room_bytes(self) -> float:
        """Memory of a stage [bytes]; infinite where nothing limits it."""
        return inf if self.memory_bytes is None else self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A planned group of nodes."""

    index: int
    device: str
    """Name of the member of the plan's cluster that it runs on."""
    nodes: tuple[int, ...]
    """Placed nodes; the cutter adds the views and cheap derived nodes that they need."""
    parameters: int
    weight_bytes: int
    kept_bytes: int = 0
    """K/V of the sequences under way, and what the engine takes for itself."""
    peak_bytes: int
    """Weights, what is kept, and the highest sum of activations alive at once, received and sent values included."""
    macs: int
    flops: int
    time_s: float
    """Compute on its device, transfers not included."""
    energy_j: float | None
    """Of its device while it computes; None where the device states no power."""
    inputs: tuple[str, ...]
    """Tensors it receives, model inputs included."""
    outputs: tuple[str, ...]
    """Tensors it sends to later stages or returns to the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The values that cross from one stage to another."""

    source: int
    target: int
    tensors: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One objective of a lexicographic list, and the value that the plan reaches."""

    objective: Objective
    value: float
    weight: float | None = None
    """Where objectives are weighted rather than in order."""
    scale: float | None = None
    """What the value is divided by then: the objective's own best value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One objective of a weighted sum."""

    objective: Objective
    weight: float
    """Above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A weighted sum of objectives, each divided by its own best value."""

    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """No plan of `plans` has a smaller first level."""

    value: float
    origin: str
    """How it was found."""
    plans: str
    """The class of plans for which it holds: `acyclic`, `contiguous in the orders tried`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes where."""

    graph: Graph = field(repr=False)
    sizes: dict[str, int]
    """Values of the graph's symbols at which bytes and times below are stated."""
    limits: Limits
    reserve: Reserve = NOTHING
    """What every stage's memory holds beside weights and activations."""
    fusion: Rules = Rules.NONE
    """Which nodes run as one kernel where they share a stage; times are stated so."""
    constraints: Constraints = UNCONSTRAINED
    levels: tuple[Level, ...]
    value: float
    """Of the first objective; of all together where they are weighted: the sum of weight × value / scale."""
    bound: float
    """A lower bound of the value."""
    bound_origin: str
    bound_plans: str
    gap: float | None
    """(value − bound) / bound; 0 is proved optimal; None where the bound is 0 and the value is not: no ratio."""
    solver: str
    cluster: Cluster = REFERENCE_CLUSTER
    """The devices and links that it may use, and on which its times are stated."""
    stages: tuple[Stage, ...]
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...] = ()
