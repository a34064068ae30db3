"""Dropouts that drop nothing: eager torch gives their argument itself back, the decomposition a copy of it.

A copy takes time and memory that the model does not, and is no longer changed by what is later written into the
argument: export alone gives other results there. So they go before the program is made functional.
Source: ATen/native/Dropout.cpp, `_dropout`, against `torch/_decomp/decompositions.py`, `dropout`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["without_dropouts"]

_DROPOUTS = frozenset(
    f"aten.{name}{place}.default"
    for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
    for place in ("", "_")
)


def without_dropouts(program: Any) -> Any:
    """The program, changed: those who read such a dropout read its argument.

    Args:
        program: `torch.export.ExportedProgram`, not yet functional.
    """
    graph, same = program.graph_module.graph, dict[str, str]()
    for node in list(graph.nodes):
        if str(node.target) in _DROPOUTS and _is_idle(*node.args):
            node.replace_all_uses_with(node.args[0])
            same[node.name] = node.args[0].name
            graph.erase_node(node)
    for output in program.graph_signature.output_specs:
        if output.arg.name in same:
            output.arg.name = same[output.arg.name]
    return program


def _is_idle(_source: Any, share: float, training: bool) -> bool:
    return not training or share == 0
