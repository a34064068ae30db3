"""What is emitted, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from partwise.planning.records import Level

__all__ = ["Atom", "Emission", "Grain", "Placed", "Target", "Written", "emission_to_data"]


class Target(StrEnum):
    """A runtime that a plan can be written for."""

    ACCELERATE = "accelerate"
    """Hugging Face accelerate: the `device_map` of `dispatch_model`."""
    PIPELINING = "pipelining"
    """`torch.distributed.pipelining`: the `split_spec` of `pipeline`."""
    VLLM = "vllm"
    """vLLM: `VLLM_PP_LAYER_PARTITION`."""
    LLAMA_CPP = "llama.cpp"
    """llama.cpp: `--tensor-split` and `--override-tensor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """Placed nodes that the target cannot separate; atoms follow each other in the graph's order."""

    nodes: tuple[int, ...]
    names: tuple[str, ...] = ()
    """What the target calls it, or the place where it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """How finely a target can divide a graph."""

    atoms: tuple[Atom, ...]
    ties: tuple[tuple[int, ...], ...] = ()
    """Atoms that must share a device, the first one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A division that the target can run."""

    groups: tuple[tuple[int, ...], ...]
    """For each stage its atoms."""
    nodes: tuple[tuple[int, ...], ...]
    """For each stage its placed nodes, ascending."""
    devices: tuple[str, ...]
    """For each stage the name of its member of the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A division in the target's words."""

    data: dict[str, Any]
    text: str
    """The same, as the target's user pastes it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """A plan in a target's words."""

    target: Target
    data: dict[str, Any]
    """What the target reads."""
    text: str
    """The same, as the target's user pastes it."""
    stages: tuple[tuple[int, ...], ...]
    """The division that the target runs: placed nodes of each stage."""
    devices: tuple[str, ...]
    """For each stage the name of its member of the plan's cluster."""
    planned: tuple[Level, ...]
    """What the plan reaches."""
    reached: tuple[Level, ...]
    """What the target's division reaches, by the same evaluator."""
    notes: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """How much larger the first objective became: 0.02 is 2 %; 0 where the plan is expressed as it is."""
        before, after = self.planned[0].value, self.reached[0].value
        return (after - before) / before if before else float(after > before)


def emission_to_data(emission: Emission) -> dict[str, Any]:
    """An emission as plain JSON data."""
    return msgspec.to_builtins(emission) | {"loss": emission.loss}
