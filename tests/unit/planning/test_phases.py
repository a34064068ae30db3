"""A language model's request: one division for both phases, or the prompt here and the answer there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import decoder
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import REFERENCE_DEVICE, Cluster, Device, Link, Member
from partwise.ir import Graph
from partwise.planning import Answer, Limits, Objective, PhasePlan, Plan, Reserve, Terms, check_plan, plan, plan_phases
from partwise.profiling import Logits, Phase, Profile, phase_sizes, profile

GRAPH = decoder(3, capacity=512, heads=16, width=64, symbolic=True)
QUICK = replace(REFERENCE_DEVICE, name="quick", memory_bytes_per_s=REFERENCE_DEVICE.memory_bytes_per_s / 20)
"""Much arithmetic, little bandwidth: for prompts."""
WIDE = replace(
    REFERENCE_DEVICE, name="wide", peak_flops_per_s={k: v / 50 for k, v in REFERENCE_DEVICE.peak_flops_per_s.items()}
)
"""The other way round: for tokens."""


def cluster(*devices: Device, bytes_per_s: float = 50e9, room: int | None = None) -> Cluster:
    members = tuple(Member(name=each.name, device=each, memory_bytes=room) for each in devices)
    return Cluster(name="test", members=members, within=Link(name="link", bytes_per_s=bytes_per_s, latency_s=1e-6))


def profiles(prompt: int, generate: int, graph: Graph = GRAPH) -> dict[Phase, Profile]:
    tokens = {Phase.PREFILL: prompt, Phase.DECODE: prompt + max(1, generate // 2)}
    return {phase: profile(graph, phase_sizes(graph, phase, n, 1, Logits.LAST)) for phase, n in tokens.items()}


def planned(where: Cluster, prompt: int = 2048, generate: int = 100, limits: Limits | None = None) -> PhasePlan:
    return plan_phases(
        GRAPH, profiles(prompt, generate), limits or Limits(), Terms(cluster=where), prompt=prompt, generate=generate
    )


def busiest(made: Plan) -> str:
    return max(made.stages, key=lambda stage: stage.flops).device


def test_by_phase_where_devices_differ_in_what_they_do_well() -> None:
    found = planned(cluster(QUICK, WIDE))
    assert found.answer is Answer.BY_PHASE
    assert (busiest(found.prefill), busiest(found.decode)) == ("quick", "wide")
    homes = [{n: s.device for s in made.stages for n in s.nodes} for made in (found.prefill, found.decode)]
    moved = [node for node in GRAPH.writes if homes[0][node] != homes[1][node]]
    assert found.transfer_bytes == len(moved) * 2048 * 2 * 64 * 4 > 0  # prompt, heads, width, float32
    assert found.transfer_s == pytest.approx(len(moved) * 1e-6 + found.transfer_bytes / 50e9)
    assert found.value == pytest.approx(found.prefill.value + 99 * found.decode.value + found.transfer_s)
    assert "do not split takes" in found.reason
    assert any(found.reason in note for note in found.decode.notes)
    for made in (found.prefill, found.decode):
        check_plan(made)


def test_not_by_phase_over_a_slow_link_or_for_a_single_token() -> None:
    assert planned(cluster(QUICK, WIDE, bytes_per_s=1e6)).answer is Answer.WHOLE
    one = planned(cluster(QUICK, WIDE), generate=1)
    assert one.answer is not Answer.BY_PHASE
    assert busiest(one.decode) == "quick"
    assert one.value == one.prefill.value


def test_the_answer_is_the_least_and_its_bound_is_one() -> None:
    for where in (
        cluster(QUICK, WIDE),
        cluster(WIDE, QUICK, bytes_per_s=1e8),
        cluster(QUICK),
        cluster(QUICK, WIDE, WIDE),
    ):
        if len({member.name for member in where.members}) < len(where.members):
            names = [replace(member, name=f"{member.name}-{i}") for i, member in enumerate(where.members)]
            where = replace(where, members=tuple(names))
        found = planned(where)
        values = [row.value for row in found.alternatives if row.value is not None]
        assert found.value == min(values)
        assert 0 < found.bound <= found.value
        for phase, counted in profiles(2048, 100).items():
            alone = plan(
                GRAPH, counted, Limits(), [Objective.LATENCY], Terms(cluster=where, reserve=Reserve(cache=2148))
            )
            assert alone.bound <= getattr(found, phase).value


def test_memory_of_both_phases_counts() -> None:
    """A device that has room for either phase alone, but not for the weights of both, cannot serve by phase."""
    easy = planned(cluster(QUICK, WIDE))
    need = max(stage.peak_bytes for made in (easy.prefill, easy.decode) for stage in made.stages)
    assert planned(cluster(QUICK, WIDE, room=need)).answer is Answer.BY_PHASE
    with pytest.raises(InfeasibleError):
        planned(cluster(QUICK, WIDE, room=need // 4))
    shared = cluster(QUICK, WIDE)
    pooled = tuple(replace(member, pool="ram") for member in shared.members)
    found = planned(replace(shared, members=pooled, pools={"ram": need + need // 4}))
    assert found.answer is Answer.WHOLE
    refused = next(row for row in found.alternatives if row.answer is Answer.BY_PHASE)
    assert refused.value is None
    assert "`ram` needs" in refused.why_not
    assert "does not fit" in found.reason


def test_a_model_too_large_for_one_device_is_divided() -> None:
    alone = planned(cluster(QUICK), prompt=64)
    need = max(made.stages[0].peak_bytes for made in (alone.prefill, alone.decode))
    found = planned(cluster(QUICK, WIDE, room=int(need * 0.8)), prompt=64)
    assert found.answer is Answer.DIVIDED
    assert all(row.value is None for row in found.alternatives if row.answer is Answer.WHOLE)


def test_keys_and_values_of_the_whole_request_are_counted() -> None:
    found = planned(cluster(QUICK), prompt=100, generate=900)
    assert found.decode.reserve.cache == 1000
    assert found.decode.stages[0].kept_bytes == 3 * 2 * 1000 * 2 * 64 * 4


def test_refused() -> None:
    with pytest.raises(InputError, match="--generate"):
        planned(cluster(QUICK), prompt=5, generate=0)
    plain = decoder(1, capacity=None, symbolic=True)
    with pytest.raises(InputError, match="captured without a cache"):
        profiles(8, 8, plain)
