"""What the tasks of a pipeline take: computing, receiving and sending, at one microbatch's size.

A stage is busy while it receives, computes and sends, one after the other, as the objective `throughput` counts it.
A receiver may take a value in while its sender sends it, or later; it has it no sooner than it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from partwise.hardware import Cluster
from partwise.ir import Graph
from partwise.planning.records import Cut, Plan, Stage

__all__ = ["PassTimes", "StageTimes", "even_times", "stage_times", "times_of_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTimes:
    """One stage in one direction."""

    compute_s: float
    receive_s: Mapping[int, float] = field(default_factory=dict[int, float])
    """Seconds for the values of each stage that sends to it, in the order in which they are received: ascending."""
    send_s: float = 0.0
    """All values that it sends, each once."""

    @property
    def load_s(self) -> float:
        """How long one task keeps the stage."""
        return fsum((*self.receive_s.values(), self.compute_s, self.send_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """A stage."""

    forward: PassTimes
    backward: PassTimes | None = None
    """Of a training step: it receives from the stages that it sent to, and sends to those it received from."""

    @property
    def load_s(self) -> float:
        """How long one microbatch keeps the stage."""
        return self.forward.load_s + (self.backward.load_s if self.backward else 0.0)


def even_times(stages: int, *, backward: bool) -> tuple[StageTimes, ...]:
    """A chain in which every task takes 1 and transfers nothing: the slots of a schedule's grid."""
    before = [{stage - 1: 0.0} if stage else {} for stage in range(stages)]
    after = [{stage + 1: 0.0} if stage + 1 < stages else {} for stage in range(stages)]
    return tuple(
        StageTimes(
            forward=PassTimes(compute_s=1, receive_s=one),
            backward=PassTimes(compute_s=1, receive_s=other) if backward else None,
        )
        for one, other in zip(before, after, strict=True)
    )


def times_of_plan(plan: Plan, *, backward: float | None = None) -> tuple[StageTimes, ...]:
    """The times of a plan's stages at the plan's sizes.

    Args:
        plan: priced.
        backward: of a training step: what computing backward takes, as a multiple of forward; gradients have the
            bytes of their values. A profile knows forward passes only. Usual: 2, since a product's backward pass is
            two products of its size. **Source**: Kaplan et al., arXiv 2001.08361, section 2.1.
    """
    return stage_times(plan.stages, plan.cuts, plan.graph, plan.sizes, plan.cluster, backward=backward)


def stage_times(
    stages: Sequence[Stage],
    cuts: Sequence[Cut],
    graph: Graph,
    sizes: Mapping[str, int],
    cluster: Cluster,
    *,
    backward: float | None = None,
) -> tuple[StageTimes, ...]:
    """The times of priced stages and cuts; see `times_of_plan`."""
    bindings = dict(sizes)
    received: list[dict[int, float]] = [{} for _ in stages]
    sent: list[dict[str, float]] = [{} for _ in stages]
    for cut in sorted(cuts, key=lambda cut: (cut.target, cut.source)):
        link = cluster.link(stages[cut.source].device, stages[cut.target].device)
        seconds = {name: link.latency_s + graph.spec[name].bytes(bindings) / link.bytes_per_s for name in cut.tensors}
        received[cut.target][cut.source] = fsum(seconds.values())
        for name, each in seconds.items():
            sent[cut.source][name] = max(each, sent[cut.source].get(name, 0.0))
    forward = [
        PassTimes(compute_s=stage.time_s, receive_s=given, send_s=fsum(gone.values()))
        for stage, given, gone in zip(stages, received, sent, strict=True)
    ]
    if backward is None:
        return tuple(StageTimes(forward=times) for times in forward)
    return tuple(_with_backward(forward, stage, backward) for stage in range(len(forward)))


def _with_backward(forward: Sequence[PassTimes], stage: int, ratio: float) -> StageTimes:
    """A stage that receives a gradient from each stage it sends to, and sends one for each value it receives."""
    own = forward[stage]
    gradients = {target: times.receive_s[stage] for target, times in enumerate(forward) if stage in times.receive_s}
    back = PassTimes(compute_s=own.compute_s * ratio, receive_s=gradients, send_s=fsum(own.receive_s.values()))
    return StageTimes(forward=own, backward=back)
