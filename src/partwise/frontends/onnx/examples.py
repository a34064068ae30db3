"""Shapes of example inputs: given with the arrays, or as text in the settings of a graph that is captured again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

import partwise.ir as ir
from partwise.frontends.source import CaptureOptions
from partwise.ir.dims import evaluate_shape

__all__ = ["example_shapes", "inputs_text"]

_ONE = re.compile(r"(\S+)=\w+\[([\d,]*)\]")


def example_shapes(options: CaptureOptions, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shape of each example by its input's name; empty where there are none.

    Args:
        options: with arrays by name or in the model's order, or with the text of `inputs_text`.
        names: the model's inputs.
    """
    examples = options.example_inputs
    if examples is None:
        found = _ONE.findall(options.inputs or "")
        return {unquote(name): tuple(int(size) for size in dims.split(",") if size) for name, dims in found}
    named = dict(cast(Any, examples if isinstance(examples, Mapping) else zip(names, examples, strict=False)))
    return {str(name): tuple(int(size) for size in value.shape) for name, value in named.items()}


def inputs_text(specs: Mapping[str, ir.TensorSpec], sizes: Mapping[str, int]) -> str:
    """Inputs at these sizes as text: `input_ids=int64[2,16] mask=int64[2,16]`; those without a shape are left out."""
    shapes = {spec.name: evaluate_shape(spec.shape, sizes) for spec in specs.values() if spec.shape is not None}
    return " ".join(
        f"{quote(name)}={specs[name].dtype.value}[{','.join(map(str, shape))}]" for name, shape in shapes.items()
    )
