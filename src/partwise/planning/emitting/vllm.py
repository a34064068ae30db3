"""vLLM: how many layers each pipeline rank gets. The first rank has the embedding, the last one norm and head.

Source: vLLM, `vllm/distributed/utils.py`, `get_pp_indices`: as many numbers as ranks, their sum the layers.
"""

from __future__ import annotations

from partwise.ir import Contraction
from partwise.planning.emitting.devices import ranks
from partwise.planning.emitting.modules import intervals, layer_list
from partwise.planning.emitting.records import Atom, Grain, Placed, Target, Written
from partwise.planning.records import Plan

__all__ = ["grain", "write"]


def grain(contraction: Contraction) -> Grain:
    """The layers."""
    _, starts = layer_list(contraction.graph, Target.VLLM)
    return Grain(atoms=tuple(Atom(nodes=nodes) for nodes in intervals(contraction, [0, *starts[1:]])))


def write(contraction: Contraction, plan: Plan, grain: Grain, placed: Placed) -> Written:
    """The environment variable, and which member of the cluster each rank is."""
    del contraction, grain
    layers = ",".join(str(len(group)) for group in placed.groups)
    notes = ranks(plan.cluster, placed.devices)
    return Written(
        data={"VLLM_PP_LAYER_PARTITION": layers, "pipeline_parallel_size": len(placed.groups)},
        text=f'VLLM_PP_LAYER_PARTITION="{layers}"',
        notes=(f"start it with --pipeline-parallel-size {len(placed.groups)}", *notes),
    )
