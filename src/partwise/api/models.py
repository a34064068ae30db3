"""model → graph: whatever the model is."""

from __future__ import annotations

from typing import Any

from partwise.frontends import CaptureOptions, open_model, refuse_other_sizes
from partwise.ir import Graph

__all__ = ["capture", "capture_with", "sizes_for"]


def capture(model: Any, example_inputs: Any = None, **options: Any) -> Graph:
    """The graph of a model: model → graph.

    Args:
        model: an `nn.Module`, an ONNX file, a Hugging Face folder, a hub name (`org/model[@revision]`), a file of
            weights with `config=` or `module=`, a `.pt2`, a saved graph, or `package.module:function`.
        example_inputs: a tuple of positional or a dict of keyword arguments; needed for an `nn.Module`.
        **options: fields of `CaptureOptions`: batch, sequence, image_size, dtype, static, weights, optimize,
            config, module.

    Raises:
        ModelError: it cannot be read or captured.
        UnsupportedOpError: an operator without a row in the operator table.
        UnsafeFileError: a file that would execute code.
        InputError: an option that does not apply to this kind of model, or a size that it does not have.
    """
    return capture_with(model, CaptureOptions(example_inputs=example_inputs, **options))


def capture_with(model: Any, options: CaptureOptions) -> Graph:
    """`capture`, with the options as a record."""
    graph = open_model(model, options).capture()
    refuse_other_sizes(graph, options)
    return graph


def sizes_for(graph: Graph, options: CaptureOptions) -> dict[str, int]:
    """The sizes that options ask for, of those that are symbols of the graph."""
    asked = {"batch": options.batch, "sequence": options.sequence}
    return {name: value for name, value in asked.items() if value is not None and name in graph.hints}
