"""llama.cpp: layers for each GPU, and feed-forward weights elsewhere than their layer.

The layers and the output are slots, n + 1 of them. `--n-gpu-layers G` leaves all but the last G slots on the CPU, and
`--tensor-split` deals the others out to the devices in their order, in proportion. Counts of slots as proportions
are exact: slot i of G goes to the first device whose cumulated share is above i / G. `--override-tensor` puts the
weights whose name matches elsewhere, and computation follows weights. The input embedding stays on the CPU always.

Source: ggml-org/llama.cpp, `src/llama-model.cpp`, `load_tensors`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from partwise.ir import Contraction, Graph
from partwise.planning.emitting.devices import CPU, numbers
from partwise.planning.emitting.modules import intervals, is_within, layer_list
from partwise.planning.emitting.records import Atom, Grain, Placed, Target, Written
from partwise.planning.records import Plan

__all__ = ["grain", "write"]

_ATTENTION = re.compile(r"(.*_)?(attn|attention)")
_ATTENTION_NAME, _FFN_NAME, _OUTPUT = "attention", "ffn", "output"


def grain(contraction: Contraction) -> Grain:
    """Each layer's attention with the residual, its feed-forward part, and the output."""
    graph = contraction.graph
    name, layers = layer_list(graph, Target.LLAMA_CPP)
    end = max(index for index, node in enumerate(graph.nodes) if is_within(node.module, name)) + 1
    marks = [(start, f"{_ATTENTION_NAME} {number}") for number, start in enumerate(layers)]
    for number, (start, stop) in enumerate(zip(layers, [*layers[1:], end], strict=True)):
        if (ffn := _feed_forward(graph, f"{name}.{number}", start, stop)) is not None:
            marks.append((ffn, f"{_FFN_NAME} {number}"))
    marks = sorted([*marks, (end, _OUTPUT)])
    parts = intervals(contraction, [0, *(start for start, _ in marks[1:])])
    named = zip(parts, [title for _, title in marks], strict=True)
    return Grain(atoms=tuple(Atom(nodes=nodes, names=(title,)) for nodes, title in named if nodes))


def write(contraction: Contraction, plan: Plan, grain: Grain, placed: Placed) -> Written:
    """The options of its programs."""
    del contraction
    kinds = numbers(plan.cluster, placed.devices)
    stage = {grain.atoms[atom].names[0]: number for number, group in enumerate(placed.groups) for atom in group}
    slots = [at for name, at in stage.items() if not name.startswith(_FFN_NAME)]
    dealt, moved = _dealt(slots, kinds)
    names = ["CPU" if kind == CPU else f"CUDA{kind}" for kind in kinds]
    shown = sorted({number for number in dealt if kinds[number] != CPU})
    options = {"--n-gpu-layers": str(sum(kinds[number] != CPU for number in dealt))}
    if shown:
        options["--device"] = ",".join(names[number] for number in shown)
        options |= {"--split-mode": "layer", "--tensor-split": ",".join(str(dealt.count(n)) for n in shown)}
    rules = _rules(stage, slots, moved, names)
    if rules:
        options["--override-tensor"] = ",".join(rules)
    notes = ["GPUs are called CUDA0, CUDA1, … in the cluster's order; --list-devices prints their names"]
    notes += ["the input embedding stays on the CPU; the value counts it on the first stage"] if kinds[0] != CPU else []
    notes += ["the K/V cache of layers moved to the CPU stays on the GPU before them"] if moved else []
    quoted = [
        f'{name} "{value}"' if name == "--override-tensor" else f"{name} {value}" for name, value in options.items()
    ]
    return Written(data={"options": options}, text=" ".join(quoted), notes=tuple(notes))


def _dealt(slots: Sequence[int], kinds: Sequence[int | str]) -> tuple[list[int], set[int]]:
    """For each slot the stage whose device it is dealt to, and the slots that only an override puts on the CPU."""
    found: list[int] = []
    moved: set[int] = set()
    for slot, at in enumerate(slots):
        if kinds[at] == CPU and any(kinds[before] != CPU for before in found):
            moved.add(slot)
            at = found[-1]
        found.append(at)
    return found, moved


def _rules(stage: dict[str, int], slots: Sequence[int], moved: set[int], names: Sequence[str]) -> list[str]:
    """Patterns of weights that are elsewhere than their slot."""
    output = len(slots) - 1
    rules = [r"output=CPU" if slot == output else rf"blk\.{slot}\.=CPU" for slot in sorted(moved)]
    for slot, at in enumerate(slots[:output]):
        there = stage.get(f"{_FFN_NAME} {slot}", at)
        if there != at:
            rules.insert(0, rf"blk\.{slot}\.ffn_={names[there]}")
    return rules


def _feed_forward(graph: Graph, layer: str, start: int, stop: int) -> int | None:
    """The first node of the module after a layer's attention."""
    prefix = layer + "."
    children = [node.module.removeprefix(prefix).split(".")[0] if node.module.startswith(prefix) else "" for node in
                graph.nodes[start:stop]]  # fmt: skip
    attention = [place for place, child in enumerate(children) if _ATTENTION.fullmatch(child)]
    if not attention:
        return None
    after = (place for place in range(attention[-1] + 1, len(children)) if children[place])
    return next((start + place for place in after), None)
