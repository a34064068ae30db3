"""A torch model as a source: captured, asked for its weights, run as its makers meant it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError, StalePlanError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions
from partwise.frontends.torch.convert import Naming, convert
from partwise.frontends.torch.export import arrange, export_functional, output_names
from partwise.frontends.torch.symbols import roles
from partwise.torch_arrays import from_numpy, to_numpy

__all__ = ["TorchModel", "capture_module"]


class TorchModel:
    """An `nn.Module` in memory."""

    def __init__(self, module: Any, options: CaptureOptions) -> None:
        self._module, self._options = module, options

    def capture(self) -> ir.Graph:
        """The graph of the module at the example inputs of the options."""
        if self._options.example_inputs is None:
            raise ModelError(type(self._module).__name__, "needs example inputs to be captured")
        return capture_module(self._module, self._options.example_inputs, static=self._options.static)

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights by tensor name, as the module holds them; strides are kept.

        Raises:
            StalePlanError: the module lacks one, or has it in another shape or type.
        """
        return {weight.tensor: self._weight(graph, weight) for weight in graph.weights}

    def reference(self, graph: ir.Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The module's own answer: outputs by the graph's names."""
        torch = require("torch")

        arguments = {name: from_numpy(value) for name, value in inputs.items()}
        with torch.no_grad():
            results = self._module(**arguments)
        leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(results) if isinstance(leaf, torch.Tensor)]
        return {output.name: to_numpy(leaf) for output, leaf in zip(graph.outputs, leaves, strict=False)}

    def _weight(self, graph: ir.Graph, weight: ir.Weight) -> np.ndarray:
        value = self._module
        for step in weight.key.split("."):
            value = getattr(value, step, None)
        spec = graph.spec[weight.tensor]
        if value is None:
            raise StalePlanError(f"weight `{weight.key}`", "the model has none of this name")
        found = (str(value.dtype).removeprefix("torch."), tuple(value.shape))
        if found != (spec.dtype.value, spec.shape):
            raise StalePlanError(
                f"weight `{weight.key}`", "differs", expected=(spec.dtype.value, spec.shape), got=found
            )
        return to_numpy(value.detach())


def capture_module(module: Any, example_inputs: Any, *, static: bool = False, name: str = "") -> ir.Graph:
    """The graph of an `nn.Module`.

    Args:
        module: in eval mode.
        example_inputs: a tuple of positional or a dict of keyword arguments (torch tensors).
        static: fix every size to the example's.
        name: the graph's name; the class's by default.

    Raises:
        ModelError: it cannot be exported.
        UnsupportedOpError: an operator without a row.
    """
    inputs = arrange(module, example_inputs)
    program, notes = export_functional(module, inputs, static)
    symbols, names, fixed = _symbols(program, inputs, {} if static or notes else roles(inputs))
    naming = Naming(symbols=names, ties=_ties(module), outputs=output_names(program))
    settings = {"source": "torch", "static": static}
    return convert(program, naming, symbols, name or type(module).__name__, settings, (*notes, *fixed))


def _symbols(
    program: Any, inputs: Mapping[str, Any], wanted: dict[str, dict[int, str]]
) -> tuple[tuple[ir.Symbol, ...], dict[str, str], list[str]]:
    """Our symbols, torch's names for them, and a note for each that export fixed in silence."""
    placeholders = {n.name: n.meta["val"] for n in program.graph_module.graph.nodes if n.op == "placeholder"}
    symbols, names, notes = dict[str, ir.Symbol](), dict[str, str](), list[str]()
    for name, dims in wanted.items():
        for dim, role in dims.items():
            size = placeholders[name].shape[dim]
            if isinstance(size, int):
                notes.append(f"`{role}` of `{name}` was asked to be symbolic; export fixed it at {size}")
            elif size.node.expr.is_Symbol:
                names.setdefault(size.node.expr.name, role)
                symbols.setdefault(role, ir.Symbol(name=role, hint=int(inputs[name].shape[dim]), input=name, dim=dim))
            else:
                raise ModelError(
                    f"`{role}` of `{name}`", f"export bound it to {size.node.expr}", hint="capture with --static."
                )
    used = set(names.values())
    return tuple(s for s in symbols.values() if s.name in used), names, notes


def _ties(module: Any) -> dict[str, str]:
    first: dict[int, str] = {}
    both = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: first.setdefault(id(value), name) for name, value in both}
