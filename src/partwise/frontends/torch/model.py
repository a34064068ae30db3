"""A torch model as a source: captured, asked for its weights, run as its makers meant it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError, StalePlanError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions
from partwise.frontends.torch.cache_layers import key_values
from partwise.frontends.torch.cached import capture_cached, with_cache
from partwise.frontends.torch.capture import ARGUMENT, capture_module
from partwise.frontends.torch.plain import by_its_operators
from partwise.frontends.torch.surroundings import without_cache
from partwise.packaging.arrays import own
from partwise.torch_arrays import from_numpy, to_numpy

__all__ = ["TorchModel", "capture_module"]


class TorchModel:
    """An `nn.Module` in memory."""

    def __init__(self, module: Any, options: CaptureOptions) -> None:
        self._module, self._options = module, options

    def capture(self) -> ir.Graph:
        """The graph of the module at the example inputs of the options; with a cache, at those of a language model."""
        if self._options.cache is not None:
            return capture_cached(self._module, self._options)
        if self._options.example_inputs is None:
            raise ModelError(type(self._module).__name__, "needs example inputs to be captured")
        return capture_module(self._module, self._options.example_inputs, static=self._options.static)

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights by tensor name, as the module holds them; strides are kept.

        Raises:
            StalePlanError: the module lacks one, or has it in another shape or type.
        """
        return {weight.tensor: self._weight(graph, weight) for weight in graph.weights}

    def answers(self, graph: ir.Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The module's own answers, by the operators that its graph has; its state is carried on between them.

        Raises:
            ModelError: its own code refuses these inputs.
        """
        with (
            require("torch").no_grad(),
            without_cache(self._module),
            by_its_operators(self._module),
            self._unchanged(graph),
            self._as_captured(graph),
        ):
            return [self._answer(graph, inputs) for inputs in requests]

    def _answer(self, graph: ir.Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One request's outputs: copies, since the module may give its own memory and write to what it is given."""
        torch = require("torch")
        literals = {n.removeprefix(ARGUMENT): v for n, v in graph.settings if n.startswith(ARGUMENT)}
        tensors = {name: from_numpy(own(value)).clone() for name, value in inputs.items()}
        results = _answered(self._module, {**tensors, **literals})
        leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(results) if isinstance(leaf, torch.Tensor)]
        named = zip(graph.outputs, leaves, strict=True)
        return {output.name: to_numpy(leaf.detach().clone()) for output, leaf in named}

    def _as_captured(self, graph: ir.Graph) -> AbstractContextManager[None]:
        """The module with the inputs and outputs that a graph with a cache has."""
        if dict(graph.settings).get("cache") is None:
            return nullcontext()
        return with_cache(self._module, key_values(self._module, graph.name))

    @contextmanager
    def _unchanged(self, graph: ir.Graph) -> Generator[None]:
        """The module's state is after this what it was before, be it written in place or bound anew."""
        keys = [graph.held[m.target].key for m in graph.mutations if m.target in graph.held]
        held = {key: self._tensor(key) for key in keys}
        before = {key: tensor.clone() for key, tensor in held.items()}
        try:
            yield
        finally:
            for key, tensor in held.items():
                tensor.copy_(before[key])
                owner, _, name = key.rpartition(".")
                setattr(self._module.get_submodule(owner), name, tensor)

    def _tensor(self, key: str) -> Any:
        value = self._module
        for step in key.split("."):
            value = getattr(value, step, None)
        return value

    def _weight(self, graph: ir.Graph, weight: ir.Weight) -> np.ndarray:
        value, spec = self._tensor(weight.key), graph.spec[weight.tensor]
        if value is None:
            raise StalePlanError(f"weight `{weight.key}`", "the model has none of this name")
        found = (str(value.dtype).removeprefix("torch."), tuple(value.shape))
        if found != (spec.dtype.value, spec.shape):
            expected = (spec.dtype.value, spec.shape)
            raise StalePlanError(f"weight `{weight.key}`", "differs", expected=expected, got=found)
        return to_numpy(value.detach())


def _answered(module: Any, inputs: Mapping[str, Any]) -> Any:
    """What the module returns; whatever its code raises is about these inputs, which may be made up."""
    try:
        return module(**inputs)
    except Exception as error:
        text = (str(error).splitlines() or [""])[0][:200]
        hint = "made-up inputs may not suit it: cut with --no-check, then verify with inputs of your own."
        what = f"refuses these inputs: {type(error).__name__}: {text}"
        raise ModelError(type(module).__name__, what, hint=hint) from error
