"""An ONNX file as a source: captured, asked for its weights, run as its makers meant it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.onnx.channels import known_channels
from partwise.frontends.onnx.convert import convert
from partwise.frontends.onnx.examples import inputs_text
from partwise.frontends.onnx.infer import infer, inferred_model, value_dims
from partwise.frontends.onnx.optimize import Optimized, open_session, optimize
from partwise.frontends.onnx.read import read_model
from partwise.frontends.onnx.symbols import Sizes, read_sizes
from partwise.frontends.onnx.weights import Weights
from partwise.frontends.source import CaptureOptions, as_captured
from partwise.frontends.stale import refuse_other_graph
from partwise.machine import machine_kind
from partwise.onnx_values import dtype_of, from_ort_value, to_ort_value

__all__ = ["OnnxModel"]


class OnnxModel:
    """An ONNX file.

    Args:
        path: the file; external data lie in its folder.
        options: the optimizer's level (`all` by default) and the sizes asked for.
    """

    def __init__(self, path: str | Path, options: CaptureOptions) -> None:
        self._path, self._options = Path(path), options
        self._captured: tuple[ir.Graph, Optimized] | None = None

    def capture(self) -> ir.Graph:
        """The graph of the model as onnxruntime optimizes it.

        Raises:
            ModelError, UnsafeFileError, UnsupportedOpError: the file cannot be read, or not be run.
        """
        if self._captured is None:
            self._captured = _capture(self._path, self._options)
        return self._captured[0]

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights by tensor name: those of the optimized model, which is made again and compared.

        Raises:
            StalePlanError: the file, captured in the same way here, gives another graph.
        """
        if self._captured is None or ir.graph_digest(self._captured[0]) != ir.graph_digest(graph):
            options = as_captured(graph, self._options)
            self._captured = _capture(self._path, options)
        captured, optimized = self._captured
        refuse_other_graph(graph, captured, str(self._path))
        return Weights(graph, optimized)

    def answers(self, graph: ir.Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The answers of the original file, fully optimized by onnxruntime as it does by default; it keeps nothing."""
        session = open_session(str(self._path), str(self._path), "all", {"session.disable_prepacking": "0"})
        return [self._answer(session, graph, inputs) for inputs in requests]

    def _answer(self, session: Any, graph: ir.Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: np.asarray(value, order="C") for name, value in inputs.items()}
        names = [output.name for output in graph.outputs]
        try:
            results = session.run_with_ort_values(names, {name: to_ort_value(value) for name, value in given.items()})
        except Exception as error:
            raise ModelError(str(self._path), f"onnxruntime cannot run it ({str(error)[:300]})") from error
        return {name: np.array(from_ort_value(result)) for name, result in zip(names, results, strict=True)}


def _capture(path: Path, options: CaptureOptions) -> tuple[ir.Graph, Optimized]:
    model = read_model(path)
    sizes = read_sizes(_inputs(model), options)
    fixed = None
    if options.static and sizes.symbols:
        fixed, sizes = _fixed(path, sizes)
    level = options.optimize or "all"
    optimized = optimize(path, level, fixed)
    examples = inputs_text(sizes.specs, {name: symbol.hint for name, symbol in sizes.symbols.items()})
    settings = {
        "source": "onnx",
        "static": options.static,
        "optimize": level,
        "inputs": examples,
        **_environment(level),
    }
    channels = known_channels(inferred_model(model).graph)
    return convert(optimized, infer(optimized, sizes), sizes, channels, settings), optimized


def _environment(level: str) -> dict[str, str]:
    """What the optimizer's result depends on beside the file."""
    version = {} if level == "off" else {"onnxruntime": str(require("onnxruntime").__version__)}
    return version | ({"machine": machine_kind()} if level == "all" else {})


def _inputs(model: Any) -> list[tuple[str, ir.DType, list[int | str] | None]]:
    held = {tensor.name for tensor in model.graph.initializer}
    found = list[tuple[str, ir.DType, list[int | str] | None]]()
    for value in model.graph.input:
        if value.name not in held:
            dims = value_dims(value)
            dtype = dtype_of(value.type.tensor_type.elem_type, f"input `{value.name}`")
            found.append(
                (value.name, dtype, None if dims is None else [dim if dim is not None else "" for dim in dims])
            )
    return found


def _fixed(path: Path, sizes: Sizes) -> tuple[Any, Sizes]:
    """The model with every input size fixed to its hint, and the sizes that are left: none."""
    from partwise.ir.dims import evaluate_shape

    model = require("onnx").load(path, load_external_data=False)
    hints = {name: symbol.hint for name, symbol in sizes.symbols.items()}
    shapes = {name: evaluate_shape(shape, hints) for name, shape in sizes.inputs.items()}
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            dim.dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model, Sizes(dtypes=sizes.dtypes, inputs=dict(shapes))
