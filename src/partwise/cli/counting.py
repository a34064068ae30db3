"""What `profile` counts: models captured once and counted at every pair of sizes, whole or one phase of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from partwise import api
from partwise.cli.output import timed
from partwise.errors import InputError
from partwise.frontends import CaptureOptions
from partwise.frontends.zoo import ZOO
from partwise.ir import Graph
from partwise.profiling import Logits, Phase, Profile, phase_sizes

__all__ = ["Counted", "PhaseAsked", "SizesAsked", "counted_models", "take_sizes"]

Counted = tuple[str, Graph, Profile]
"""The model as the user named it, its graph, and the counts at one set of sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseAsked:
    """A phase of a language model."""

    phase: Phase
    logits: Logits


@dataclass(frozen=True, slots=True, kw_only=True)
class SizesAsked:
    """The sizes at which models are counted; None is the one captured with."""

    batches: tuple[int | None, ...]
    sequences: tuple[int | None, ...]
    phase: PhaseAsked | None

    @property
    def is_sweep(self) -> bool:
        """Whether there is more than one pair of sizes."""
        return len(self.batches) * len(self.sequences) > 1


def take_sizes(
    batches: tuple[int, ...] | None, sequences: tuple[int, ...] | None, phase: str | None, logits: str
) -> SizesAsked:
    """The options `--batch`, `--sequence`, `--phase` and `--logits` together.

    Raises:
        InputError: logits of no phase, or a phase of unknown length.
    """
    if phase is None and logits != Logits.ALL:
        raise InputError("--logits", "is of a phase, and none is named", hint="add --phase prefill.")
    if phase is not None and sequences is None:
        raise InputError("--phase", "needs --sequence: how many tokens are there")
    asked = None if phase is None else PhaseAsked(phase=Phase(phase), logits=Logits(logits))
    return SizesAsked(batches=batches or (None,), sequences=sequences or (None,), phase=asked)


def counted_models(models: tuple[str, ...], options: CaptureOptions, asked: SizesAsked) -> Iterator[Counted]:
    """Each model captured once and counted at every pair of sizes.

    Raises:
        InputError: a size that the graph has fixed at another value.
    """
    for model in models:
        exact = _capture_options(model, options, asked)
        with timed(f"{model} captured"):
            graph = api.capture_with(model, exact)
        for batch in asked.batches:
            for sequence in asked.sequences:
                sizes = {} if exact.static else _sizes(graph, batch, sequence, asked.phase)
                yield Path(model).name, graph, api.profile(graph, sizes)


def _capture_options(model: str, options: CaptureOptions, asked: SizesAsked) -> CaptureOptions:
    """How a model is captured: with room for the tokens of a phase, or at fixed sizes."""
    options = replace(options, weights=options.weights and model not in ZOO)
    if asked.phase is not None:
        if options.static:
            raise InputError("--static", "fixes every size, and a phase is a choice of sizes")
        return replace(options, cache=max(size or 1 for size in asked.sequences))
    if not options.static:
        return options
    if asked.is_sweep:
        raise InputError("--static", "fixes every size, so there is none to sweep")
    return replace(options, batch=asked.batches[0], sequence=asked.sequences[0])


def _sizes(graph: Graph, batch: int | None, sequence: int | None, phase: PhaseAsked | None) -> dict[str, int]:
    """Values of the graph's symbols."""
    if phase is not None:
        return phase_sizes(graph, phase.phase, sequence or 1, batch or 1, phase.logits)
    given = {name: value for name, value in (("batch", batch), ("sequence", sequence)) if value is not None}
    if unknown := [name for name in given if name not in graph.hints]:
        listed = ", ".join(graph.hints) or "none"
        what = "is no symbol of this graph: its size is fixed"
        raise InputError(f"--{unknown[0]}", what, expected=f"one of: {listed}")
    return given
