"""An exported program as a `Graph`: names, literals and sizes; nothing of torch remains."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.torch.symbols import expression

__all__ = ["Naming", "convert"]

_DROPPED = frozenset({"device", "pin_memory", "layout", "non_blocking"})
"""Keywords that say where, not what; the engine decides where."""
_ASSERTIONS = ("aten._assert_tensor_metadata", "aten._assert_scalar", "aten._assert_async", "aten.sym_constrain_range")
_RANDOM = ("aten.rand", "aten.normal", "aten.bernoulli", "aten.multinomial", "aten.native_dropout", "aten.poisson")
_CONSTANT_BYTES = 1 << 16
"""A literal tensor above this size is a weight that should be a buffer."""


@dataclass(slots=True)
class Naming:
    """What the tensors of a program are called outside it."""

    symbols: dict[str, str]
    """torch's symbol -> ours."""
    ties: dict[str, str]
    """Name of a parameter -> the first name of the same parameter."""
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


def convert(
    program: Any,
    naming: Naming,
    symbols: tuple[ir.Symbol, ...],
    name: str,
    settings: Mapping[str, str | int | bool | None],
    notes: tuple[str, ...],
) -> ir.Graph:
    """The graph of a functional exported program (after `run_decompositions({})`).

    Args:
        program: `torch.export.ExportedProgram`.
        naming: outer names of its symbols, weights and results.
        symbols: the symbols that its sizes are expressions of.
        name: the model's name.
        settings: how it was captured.
        notes: what a reader should know.

    Raises:
        UnsupportedOpError: an operator without a row, a random one, a size computed from data.
    """
    building = _Building(program, naming)
    signature = program.graph_signature
    sources = {spec.arg.name: spec for spec in signature.input_specs}
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
        tensors=tuple(building.specs.values()),
        nodes=tuple(building.nodes),
        notes=notes,
    )
    return ir.prune(graph)


def _placeholder(building: _Building, node: Any, source: Any) -> None:
    kind, value = source.kind.name, node.meta["val"]
    if kind == "USER_INPUT":
        if _is_tensor(value):
            building.names[node] = node.name
            building.inputs.append(node.name)
            _specify(building, node.name, value)
        return
    key = building.naming.ties.get(source.target, source.target)
    tensor = key if key not in building.inputs else f"{key}.weight"
    building.names[node] = tensor
    if kind == "CONSTANT_TENSOR" and source.target.startswith("lifted_tensor"):
        building.constants.append(_constant(tensor, building.program.constants[source.target]))
    elif tensor not in building.weights:
        building.weights[tensor] = ir.Weight(tensor=tensor, key=key, trainable=kind == "PARAMETER")
    if tensor not in building.specs:
        _specify(building, tensor, value)


def _call(building: _Building, node: Any) -> None:
    value, target = node.meta.get("val"), str(node.target)
    if target.startswith(_ASSERTIONS) or _is_size(value):
        return
    if getattr(node.target, "__name__", "") == "getitem":
        building.names[node] = f"{building.names[node.args[0]]}.{node.args[1]}"
        return
    _refuse_unknown(node, target)
    several = isinstance(value, tuple | list)
    outputs = tuple(f"{node.name}.{i}" for i in range(len(cast(list[Any], value)))) if several else (node.name,)
    for output, item in zip(outputs, cast(list[Any], value) if several else (value,), strict=True):
        _specify(building, output, item)
    building.names[node] = node.name
    kwargs = {k: _argument(building, v) for k, v in node.kwargs.items() if k not in _DROPPED}
    args = tuple(_argument(building, value) for value in node.args)
    module = _module_path(node)
    row = ir.Node(op=target, args=args, kwargs=tuple(sorted(kwargs.items())), outputs=outputs, module=module)
    building.nodes.append(row)


def _refuse_unknown(node: Any, target: str) -> None:
    where = " ".join(part for part in (_module_path(node), _source_line(node)) if part)
    if target.startswith(_RANDOM):
        raise UnsupportedOpError(
            f"operator `{target}` at {where}", "is random: two runs would differ", hint="model.eval()."
        )
    ir.operator(target, where)


def _argument(building: _Building, value: Any) -> ir.Argument:
    torch = require("torch")

    if isinstance(value, torch.fx.Node):
        held = value.meta.get("val")
        return _size(held, building) if _is_size(held) else ir.Ref(building.names[value])
    if isinstance(value, (torch.dtype, torch.memory_format)):
        space = "dtype" if isinstance(value, torch.dtype) else "memory_format"
        return ir.Enum(space, str(value).removeprefix("torch."))
    if isinstance(value, torch.SymInt):
        return _size(value, building)
    if isinstance(value, tuple | list):
        return tuple(_argument(building, item) for item in cast(list[Any], value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UnsupportedOpError(f"argument {value!r}", f"of type {type(value).__name__} cannot be stored in a graph")


def _size(value: Any, building: _Building) -> ir.Argument:
    torch = require("torch")

    if isinstance(value, (bool, float, torch.SymBool, torch.SymFloat)):
        if isinstance(value, bool | float):
            return value
        raise UnsupportedOpError(f"size `{value}`", "a computed size that is no integer", hint="capture with --static.")
    size = expression(value, building.naming.symbols)
    return size if isinstance(size, int) else ir.Sym(size)


def _ends(building: _Building) -> tuple[tuple[ir.Output, ...], tuple[ir.Mutation, ...]]:
    node = next(n for n in building.program.graph_module.graph.nodes if n.op == "output")
    names = iter(building.naming.outputs)
    outputs, mutations = list[ir.Output](), list[ir.Mutation]()
    for value, spec in zip(node.args[0], building.program.graph_signature.output_specs, strict=True):
        kind = spec.kind.name
        if kind == "USER_OUTPUT":
            name = next(names)
            if value in building.names:
                outputs.append(ir.Output(name=name, tensor=building.names[value]))
        elif kind in ("BUFFER_MUTATION", "USER_INPUT_MUTATION"):
            target = building.naming.ties.get(spec.target, spec.target)
            mutations.append(ir.Mutation(target=target, tensor=building.names[value]))
    if not outputs:
        raise ModelError("model", "returns no tensor")
    return tuple(outputs), tuple(mutations)


def _specify(building: _Building, name: str, value: Any) -> None:
    if not _is_tensor(value):
        raise UnsupportedOpError(f"value `{name}`", f"is a {type(value).__name__}, not a tensor")
    shape = tuple(expression(size, building.naming.symbols) for size in value.shape)
    dtype = ir.DType(str(value.dtype).removeprefix("torch."))
    building.specs[name] = ir.TensorSpec(name=name, dtype=dtype, shape=shape)


def _constant(name: str, value: Any) -> ir.Constant:
    data = value.detach().contiguous().reshape(-1).view(dtype=_byte()).numpy().tobytes()
    if len(data) > _CONSTANT_BYTES:
        raise ModelError(f"constant `{name}`", "too large for a literal", expected=f"≤ {_CONSTANT_BYTES} bytes", got=len(data),
                         hint="register it as a buffer.")  # fmt: skip
    return ir.Constant(tensor=name, data=base64.b64encode(data).decode())


def _byte() -> Any:
    torch = require("torch")

    return torch.uint8


def _is_tensor(value: Any) -> bool:
    torch = require("torch")

    return isinstance(value, torch.Tensor)


def _is_size(value: Any) -> bool:
    torch = require("torch")

    return isinstance(value, (torch.SymInt, torch.SymBool, torch.SymFloat, int, float, bool))


def _module_path(node: Any) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, kind in stack.values() if "metadata_hook" not in str(kind)]
    return str(paths[-1]) if paths else ""


def _source_line(node: Any) -> str:
    lines = [
        line.strip() for line in (node.meta.get("stack_trace") or "").splitlines() if line.strip().startswith("File")
    ]
    return lines[-1] if lines else ""
