"""Greedy generation with a graph that was captured with a cache: prefill once, then token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from e2e.torch_chain import over_the_wire
from partwise.ir import Graph
from partwise.ir.dims import evaluate_shape
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.sizes import bind_sizes

__all__ = ["generate"]

Run = Callable[[dict[str, np.ndarray], dict[str, int]], dict[str, np.ndarray]]
"""Inputs and sizes -> outputs by the model's names."""


def generate(graph: Graph, run: Run, prompts: Sequence[Any], count: int, capacity: int) -> np.ndarray:
    """[batch, count] The likeliest tokens after each prompt; prompts may differ in length."""
    lengths = np.array([len(prompt) for prompt in prompts], np.int64)
    tokens = np.zeros((len(prompts), int(lengths.max())), np.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = prompt
    values = _empty(graph, len(prompts), capacity)
    values |= {"input_ids": tokens, "position": np.zeros(len(prompts), np.int64), "logits_at": lengths[:, None] - 1}
    found = list[np.ndarray]()
    for _ in range(count):
        values = {name: over_the_wire(value) for name, value in values.items()}
        made = run(values, bind_sizes(graph.symbols, values))
        found.append(made["logits"][:, -1].argmax(-1).astype(np.int64))
        values |= {name: made[name] for name in made if name in graph.inputs}
        held = lengths + len(found) - 1
        values |= {"input_ids": found[-1][:, None], "position": held, "logits_at": np.zeros_like(held)[:, None]}
    return np.stack(found, axis=1)


def _empty(graph: Graph, batch: int, capacity: int) -> dict[str, np.ndarray]:
    sizes = graph.hints | {"batch": batch, "capacity": capacity}
    states = [mutation.target for mutation in graph.mutations]
    specs = [graph.spec[name] for name in states]
    return {spec.name: np.zeros(evaluate_shape(spec.shape or (), sizes), numpy_dtype(spec.dtype)) for spec in specs}
