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


def generate(
    graph: Graph, run: Run, prompts: Sequence[Any], count: int, capacity: int, part: int | None = None
) -> np.ndarray:
    """[batch, count] The likeliest tokens after each prompt; prompts may differ in length.

    Args:
        graph: captured with a cache.
        run: runs it, whole or cut.
        prompts: one of each sequence; of one length, where they are read in parts.
        count: tokens to make.
        capacity: of the buffers.
        part: so many tokens of the prompts are read at once.
    """
    lengths = np.array([len(prompt) for prompt in prompts], np.int64)
    tokens = np.zeros((len(prompts), int(lengths.max())), np.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = prompt
    values = _empty(graph, len(prompts), capacity)
    parts = np.split(tokens, range(part, tokens.shape[1], part), axis=1) if part else [tokens]
    held, found = np.zeros(len(prompts), np.int64), list[np.ndarray]()
    for new in parts:
        last = (lengths - 1)[:, None] if part is None else np.full((len(prompts), 1), new.shape[1] - 1)
        made = _step(graph, run, values, (new, held, last))
        held = held + new.shape[1] if part else lengths
    for _ in range(count):
        found.append(made["logits"][:, -1].argmax(-1).astype(np.int64))
        made = _step(graph, run, values, (found[-1][:, None], held, np.zeros((len(prompts), 1), np.int64)))
        held = held + 1
    return np.stack(found, axis=1)


def _step(
    graph: Graph, run: Run, values: dict[str, np.ndarray], new: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """One call; the buffers among `values` are then those that it gave."""
    values |= dict(zip(("input_ids", "position", "logits_at"), new, strict=True))
    sent = {name: over_the_wire(value) for name, value in values.items()}
    made = run(sent, bind_sizes(graph.symbols, sent))
    values |= {name: value for name, value in made.items() if name in graph.inputs}
    return made


def _empty(graph: Graph, batch: int, capacity: int) -> dict[str, np.ndarray]:
    sizes = graph.hints | {"batch": batch, "capacity": capacity}
    states = [mutation.target for mutation in graph.mutations]
    specs = [graph.spec[name] for name in states]
    return {spec.name: np.zeros(evaluate_shape(spec.shape or (), sizes), numpy_dtype(spec.dtype)) for spec in specs}
