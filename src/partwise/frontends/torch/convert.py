"""An exported program as a `Graph`: names, literals and sizes; nothing of torch remains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.frontends.torch.definite import definite
from partwise.frontends.torch.literals import Literals, constant, is_size, is_tensor
from partwise.frontends.torch.origin import module_path, origin

__all__ = ["Naming", "convert"]

_DROPPED = frozenset({"device", "pin_memory", "layout", "non_blocking"})
"""Keywords that say where, not what; the engine decides where."""
_ASSERTIONS = ("aten._assert_tensor_metadata", "aten._assert_scalar", "aten._assert_async", "aten.sym_constrain_range")
_RANDOM = ("aten.rand", "aten.normal", "aten.bernoulli", "aten.multinomial", "aten.native_dropout", "aten.poisson.",
           "aten.dropout", "aten.uniform", "aten.exponential", "aten._fused_dropout", "aten.rrelu", "aten.cauchy",
           "aten.geometric", "aten.log_normal")  # fmt: skip


@dataclass(slots=True)
class Naming:
    """What the tensors of a program are called outside it."""

    symbols: dict[str, str]
    """torch's symbol -> ours."""
    ties: dict[str, str]
    """Name of a parameter or buffer -> the first name of the same tensor."""
    outputs: list[str]
    """The model's names for its results, in order."""


@dataclass(slots=True)
class _Building:
    program: Any
    naming: Naming
    names: dict[Any, str] = field(default_factory=dict)
    specs: dict[str, ir.TensorSpec] = field(default_factory=dict)
    weights: dict[str, ir.Weight] = field(default_factory=dict)
    constants: list[ir.Constant] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    taken: frozenset[str] = frozenset()
    """Names of inputs and of nodes' values; a weight that is called like one gets another."""

    @property
    def literals(self) -> Literals:
        return Literals(self.naming.symbols, self.names)

    def specify(self, name: str, value: Any, node: Any) -> None:
        self.specs[name] = self.literals.specification(name, value, node)


def convert(
    program: Any,
    naming: Naming,
    symbols: tuple[ir.Symbol, ...],
    name: str,
    settings: Mapping[str, str | int | float | bool | None],
    conditions: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> ir.Graph:
    """The graph of a functional exported program (after `run_decompositions({})`).

    Args:
        program: `torch.export.ExportedProgram`.
        naming: outer names of its symbols, weights and results.
        symbols: the symbols that its sizes are expressions of.
        name: the model's name.
        settings: how it was captured.
        conditions: what must hold of the symbols.
        notes: what a reader should know.

    Raises:
        UnsupportedOpError: an operator without a row, a random one, a size computed from data.
    """
    sources = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    building = _Building(program, naming, taken=_taken(program, sources))
    for node in program.graph_module.graph.nodes:
        if node.op == "placeholder":
            _placeholder(building, node, sources[node.name])
        elif node.op == "call_function":
            _call(building, node)
    outputs, mutations = _ends(building)
    graph = ir.Graph(
        format=ir.Format.TORCH,
        name=name,
        settings=tuple(sorted(settings.items())),
        symbols=symbols,
        inputs=tuple(building.inputs),
        weights=tuple(building.weights.values()),
        constants=tuple(building.constants),
        outputs=outputs,
        mutations=mutations,
        conditions=conditions,
        tensors=tuple(building.specs.values()),
        nodes=tuple(building.nodes),
        notes=notes,
    )
    return ir.prune(graph)


def _taken(program: Any, sources: Mapping[str, Any]) -> frozenset[str]:
    names = set[str]()
    for node in program.graph_module.graph.nodes:
        if node.op == "call_function":
            values = node.meta.get("val")
            several = len(cast(list[Any], values)) if isinstance(values, tuple | list) else 0
            names |= {node.name, *(f"{node.name}.{place}" for place in range(several))}
        elif node.op == "placeholder" and sources[node.name].kind.name == "USER_INPUT":
            names.add(node.name)
    return frozenset(names)


def _placeholder(building: _Building, node: Any, source: Any) -> None:
    kind, value = source.kind.name, node.meta["val"]
    if kind == "USER_INPUT":
        if is_tensor(value):
            building.names[node] = node.name
            building.inputs.append(node.name)
            building.specify(node.name, value, node)
        return
    key = str(building.naming.ties.get(source.target, source.target))
    tensor = key if key not in building.taken else f"{key}.weight"
    building.names[node] = tensor
    if tensor in building.specs:
        return
    building.specify(tensor, value, node)
    if kind == "CONSTANT_TENSOR" and key.rpartition(".")[2].startswith("lifted_tensor"):
        building.constants.append(constant(tensor, building.program.constants[source.target]))
    else:
        building.weights[tensor] = ir.Weight(tensor=tensor, key=key, trainable=kind == "PARAMETER")


def _call(building: _Building, node: Any) -> None:
    value, target = node.meta.get("val"), str(node.target)
    if target.startswith(_ASSERTIONS) or is_size(value):
        return
    if getattr(node.target, "__name__", "") == "getitem":
        building.names[node] = f"{building.names[node.args[0]]}.{node.args[1]}"
    elif target == "aten.type_as.default" and value.dtype == node.args[0].meta["val"].dtype:
        building.names[node] = building.names[node.args[0]]
    else:
        _operation(building, node, target, value)


def _operation(building: _Building, node: Any, target: str, value: Any) -> None:
    if target.startswith(_RANDOM):
        subject = f"operator `{target}` at {origin(node)}"
        raise UnsupportedOpError(
            subject,
            "is random: two runs would differ",
            hint="model.eval(), or make the values outside the model and pass them in.",
        )
    several = isinstance(value, tuple | list)
    values = cast(list[Any], value) if several else [value]
    outputs = tuple(f"{node.name}.{i}" for i in range(len(values))) if several else (node.name,)
    for output, item in zip(outputs, values, strict=True):
        building.specify(output, item, node)
    op, args, kwargs = definite(target, node.args, {k: v for k, v in node.kwargs.items() if k not in _DROPPED}, value)
    ir.operator(op, origin(node))
    building.names[node] = node.name
    literals = building.literals
    building.nodes.append(
        ir.Node(
            op=op,
            args=tuple(literals.argument(argument, node) for argument in args),
            kwargs=tuple(sorted((name, literals.argument(argument, node)) for name, argument in kwargs.items())),
            outputs=outputs,
            module=module_path(node),
        )
    )


def _ends(building: _Building) -> tuple[tuple[ir.Output, ...], tuple[ir.Mutation, ...]]:
    """Results, and the buffers that hold another value after a run. What is written into an input is dropped: a
    run leaves the caller's values as they are."""
    node = next(n for n in building.program.graph_module.graph.nodes if n.op == "output")
    names, found, mutations = iter(building.naming.outputs), list[ir.Output](), list[ir.Mutation]()
    for value, spec in zip(node.args[0], building.program.graph_signature.output_specs, strict=True):
        kind = spec.kind.name
        if kind == "USER_OUTPUT":
            name = next(names)
            if value in building.names:
                found.append(ir.Output(name=name, tensor=building.names[value]))
        elif kind in ("BUFFER_MUTATION", "PARAMETER_MUTATION"):
            target = str(building.naming.ties.get(spec.target, spec.target))
            mutations.append(ir.Mutation(target=target, tensor=building.names[value]))
    if not found:
        raise ModelError("model", "returns no tensor")
    return tuple(found), tuple(mutations)
