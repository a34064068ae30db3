"""The JSON of an exported program as a `Graph`: operators of the table alone, literals, sizes as expressions."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.frontends.pt2.archive import DTYPES, Archive, Tensors
from partwise.frontends.pt2.sizes import Sizes, roles
from partwise.frontends.results import result_names
from partwise.frontends.untrusted import as_dict, as_list

__all__ = ["convert"]

_DROPPED = frozenset({"device", "pin_memory", "layout", "non_blocking"})
"""Keywords that say where, not what; the engine decides where."""
_ASSERTIONS = ("aten._assert_", "aten.sym_constrain_range")
_CONSTANT_BYTES = 1 << 16
"""A literal above this size is kept as a weight."""
_MEMORY_FORMATS = {1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"}
_LITERALS = (
    "as_int", "as_ints", "as_int_lists", "as_bool", "as_bools", "as_float", "as_floats", "as_string", "as_strings",
)  # fmt: skip
_KEYWORD = 2
_FUNCTIONAL = "save the program after run_decompositions({})."


@dataclass(slots=True)
class _Building:
    graph: dict[str, Any]
    sizes: Sizes
    names: dict[str, str] = field(default_factory=dict)
    """The program's name of a tensor -> ours."""
    specs: dict[str, ir.TensorSpec] = field(default_factory=dict)
    weights: dict[str, ir.Weight] = field(default_factory=dict)
    constants: list[ir.Constant] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    settings: dict[str, str | int | float | bool | None] = field(default_factory=dict)

    def specify(self, theirs: str, ours: str) -> None:
        """Note what is known of a value; one that the program never reads may have no description."""
        self.names[theirs] = ours
        meta = self.graph["tensor_values"].get(theirs)
        dtype, shape = ir.DType.OPAQUE, None
        if meta is not None:
            dtype, shape = DTYPES[meta["dtype"]], tuple(self.sizes.dim(size) for size in meta["sizes"])
        self.specs.setdefault(ours, ir.TensorSpec(name=ours, dtype=dtype, shape=shape))


def convert(archive: Archive, name: str) -> ir.Graph:
    """The graph of an archive.

    Raises:
        ModelError: its JSON is none of torch.export's.
        UnsupportedOpError: an operator without a row, or one that writes in place.
    """
    try:
        graph = _convert(archive, name)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
        what = f"has a program that this reader does not understand ({type(error).__name__}: {error})"
        raise ModelError(str(archive.path), what, hint="save it again with torch 2.9 or newer.") from error
    ir.check_graph(graph, str(archive.path))
    return graph


def _convert(archive: Archive, name: str) -> ir.Graph:
    module = archive.program["graph_module"]
    graph, signature = module["graph"], module["signature"]
    users = [spec["user_input"]["arg"] for spec in signature["input_specs"] if "user_input" in spec]
    named = [arg["as_tensor"]["name"] for arg in users if "as_tensor" in arg]
    tensors = {name: graph["tensor_values"][name] for name in named}
    symbols = dict(roles(tensors))
    building = _Building(graph, Sizes({theirs: ours.name for theirs, ours in symbols.items()}))
    for spec in signature["input_specs"]:
        _input(building, spec, archive)
    nodes = tuple(_nodes(building))
    outputs, mutations = _ends(building, signature["output_specs"], module["module_call_graph"][0]["signature"])
    return ir.prune(
        ir.Graph(
            format=ir.Format.TORCH,
            name=name,
            settings=tuple(sorted({"source": "pt2", **building.settings}.items())),
            symbols=tuple(dict.fromkeys(symbols.values())),
            inputs=tuple(building.inputs),
            weights=tuple(building.weights.values()),
            constants=tuple(building.constants),
            outputs=outputs,
            mutations=mutations,
            tensors=tuple(building.specs.values()),
            nodes=nodes,
        )
    )


def _input(building: _Building, spec: dict[str, Any], archive: Archive) -> None:
    ((kind, body),) = spec.items()
    match kind:
        case "user_input":
            if "as_tensor" in body["arg"]:
                name = body["arg"]["as_tensor"]["name"]
                building.specify(name, name)
                building.inputs.append(name)
            elif "as_none" not in body["arg"]:
                raise UnsupportedOpError(f"input {body['arg']}", "is no tensor", hint="export with it as a constant.")
        case "constant_input":
            building.settings[f"argument {body['name']}"] = next(iter(body["value"].values()))
        case "parameter" | "buffer" | "tensor_constant":
            _state(building, body["arg"]["name"], body[_STATE_NAMES[kind]], kind, archive)
        case _:
            raise UnsupportedOpError(f"input of kind `{kind}`", "is no tensor", hint="export without custom objects.")


_STATE_NAMES = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


def _state(building: _Building, theirs: str, key: str, kind: str, archive: Archive) -> None:
    """A tensor that the model brings along: tied ones once, small literals within the graph."""
    stored = archive.tensors[key]
    key = next(name for name, tensor in archive.tensors.items() if tensor == stored)
    ours = f"{key}.weight" if key in building.inputs else key
    building.specify(theirs, ours)
    spec = building.specs[ours]
    if (spec.dtype, spec.shape) != (stored.dtype, stored.shape):
        raise ValueError(f"`{key}` is stored as {stored.dtype} {stored.shape}, used as {spec.dtype} {spec.shape}")
    array = Tensors(archive.path, {key: stored})[key]
    if kind == "tensor_constant" and key.startswith("lifted_tensor") and array.nbytes <= _CONSTANT_BYTES:
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        building.constants.append(ir.Constant(tensor=ours, data=data))
    else:
        building.weights.setdefault(ours, ir.Weight(tensor=ours, key=key, trainable=kind == "parameter"))


def _nodes(building: _Building) -> Iterator[ir.Node]:
    for node in building.graph["nodes"]:
        outputs = [name for output in node["outputs"] for name in _output_names(output)]
        op = str(node["target"]).removeprefix("torch.ops.")
        if op.startswith(_ASSERTIONS) or (not outputs and op.startswith("aten.sym_")) or _is_size(node):
            continue
        module = _module_path(node)
        _refuse(op, module)
        for output in outputs:
            building.specify(output, output)
        pairs = [(arg, _argument(building, arg["arg"], op)) for arg in node["inputs"] if arg["name"] not in _DROPPED]
        kwargs = {arg["name"]: value for arg, value in pairs if arg["kind"] == _KEYWORD}
        args = tuple(value for arg, value in pairs if arg["kind"] != _KEYWORD)
        yield ir.Node(op=op, args=args, kwargs=tuple(sorted(kwargs.items())), outputs=tuple(outputs), module=module)


def _is_size(node: dict[str, Any]) -> bool:
    """Arithmetic on sizes: every use of its result is an expression already."""
    return bool(node["outputs"]) and all(key.startswith("as_sym") for output in node["outputs"] for key in output)


def _output_names(output: dict[str, Any]) -> Iterator[str]:
    ((kind, value),) = output.items()
    for item in value if kind == "as_tensors" else [value]:
        if name := as_dict(item).get("name"):
            yield str(name)


def _refuse(op: str, module: str) -> None:
    name = op.split(".")[1] if op.count(".") == 2 else op
    if op not in ir.OPERATORS and name.endswith("_") and not name.endswith("__"):
        raise UnsupportedOpError(f"operator `{op}` at {module}", "writes in place", hint=_FUNCTIONAL)
    try:
        ir.operator(op, module)
    except UnsupportedOpError as error:
        raise UnsupportedOpError(error.subject, error.what, hint=f"{_FUNCTIONAL} Else {error.hint}") from None


def _argument(building: _Building, argument: dict[str, Any], op: str) -> ir.Argument:
    ((kind, value),) = argument.items()
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return ir.Ref(building.names[value["name"]])
        case "as_tensors":
            return tuple(ir.Ref(building.names[item["name"]]) for item in value)
        case "as_optional_tensor":
            return _argument(building, value, op)
        case "as_optional_tensors" | "as_sym_ints":
            return tuple(_argument(building, item, op) for item in value)
        case "as_sym_int":
            return _argument(building, value, op)
        case "as_name":
            size = building.sizes.dim(building.graph["sym_int_values"][value])
            return size if isinstance(size, int) else ir.Sym(size)
        case "as_scalar_type":
            return ir.Enum("dtype", DTYPES[value].value)
        case "as_memory_format":
            return ir.Enum("memory_format", _MEMORY_FORMATS[value])
        case _ if kind in _LITERALS:
            return _literal(kind, value)
        case _:
            raise UnsupportedOpError(f"operator `{op}`", f"an argument `{kind}` cannot be stored in a graph")


def _literal(kind: str, value: Any) -> ir.Argument:
    """Numbers as they are; infinities, which JSON lacks, come as words."""
    if isinstance(value, list):
        return tuple(_literal(kind, item) for item in as_list(value))
    return float(value) if kind.startswith("as_float") else value


def _module_path(node: Mapping[str, Any]) -> str:
    stack = str(node["metadata"].get("nn_module_stack", "")).split(";")
    fields = [entry.split(",") for entry in stack if entry and "metadata_hook" not in entry]
    return fields[-1][1] if fields and len(fields[-1]) > 2 else ""


def _ends(
    building: _Building, specs: list[dict[str, Any]], call: dict[str, Any]
) -> tuple[tuple[ir.Output, ...], tuple[ir.Mutation, ...]]:
    names = iter(result_names(_leaf_paths(json.loads(call["out_spec"])[1])))
    outputs, mutations = list[ir.Output](), list[ir.Mutation]()
    for spec in specs:
        ((kind, body),) = spec.items()
        if kind == "user_output":
            name = next(names)
            if "as_tensor" in body["arg"]:
                outputs.append(ir.Output(name=name, tensor=building.names[body["arg"]["as_tensor"]["name"]]))
        elif kind in ("buffer_mutation", "user_input_mutation"):
            target = body.get("buffer_name") or body["user_input_name"]
            mutations.append(ir.Mutation(target=target, tensor=building.names[body["arg"]["name"]]))
        else:
            what, hint = "is no result of a forward", "export in eval mode."
            raise UnsupportedOpError(f"output of kind `{kind}`", what, hint=hint)
    return tuple(outputs), tuple(mutations)


def _leaf_paths(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Keys and places that lead to each result, in the order of the structure that the model returns."""
    children = tree["children_spec"]
    if tree["type"] is None:
        return [path]
    keys = _keys(tree["context"], len(children))
    return [leaf for key, child in zip(keys, children, strict=True) for leaf in _leaf_paths(child, (*path, key))]


def _keys(context: str | None, count: int) -> list[str]:
    """Keys of a dict or of a dataclass of results; places of a tuple or list."""
    items = as_list(json.loads(context)) if context else []
    if len(items) == 2 and as_list(items[-1]):
        items = as_list(items[-1])  # a class registered with its fields: [class, [key, ...]]
    return [str(key) for key in items] if len(items) == count else [str(place) for place in range(count)]
