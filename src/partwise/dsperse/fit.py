"""Make a sliced model's segments small enough to prove within a memory limit: too large ones are divided, and the
package is cut again with the new segments in their place.

The new package's model is the old one with some operators in parts. Its integers are those that the undivided circuits
would have, except that a divided normalization is rounded once more; its floats differ by the order of a sum.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partwise import api
from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.dsperse.divide import Division, divide_segment
from partwise.dsperse.integers import entered
from partwise.dsperse.layout import Layout, slice_metadata
from partwise.dsperse.slice import describe, write_onnx
from partwise.extras import require
from partwise.frontends import CaptureOptions, open_model
from partwise.packaging import Package
from partwise.planning import Constraints

__all__ = ["fit_slices"]

Progress = Callable[[str, int, int | None], None]


def fit_slices(
    layout: Layout,
    package: Package,
    scale: int,
    requests: Sequence[Mapping[str, np.ndarray]],
    peak_bytes: int,
    on_progress: Progress | None = None,
) -> Package:
    """The package whose segments each are predicted to be proved within a peak; the same one where they are already.

    Args:
        layout: of `slice`; its package and metadata are written again where something is divided.
        package: of the layout.
        scale: binary digits of inputs and weights.
        requests: that values are sized by.
        peak_bytes: what the prover's process may take.
        on_progress: called with (what is being done, how much is done, how much there is).

    Raises:
        InfeasibleError: an operator that needs more and cannot be split so far; it names its segment.
        UnsupportedOpError: an operator that integers cannot compute exactly.
    """
    segments = package.manifest.segments
    values = entered(package, requests, scale)
    digits = {port.tensor: scale for port in package.manifest.inputs}
    divisions = list[Division]()
    for number in range(len(segments)):
        if on_progress:
            on_progress(f"price of segment {number}", number, len(segments))
        model = write_onnx(layout, package, number).read_bytes()
        given = [{port.tensor: known[port.tensor] for port in segments[number].inputs} for known in values]
        theirs = {port.tensor: digits[port.tensor] for port in segments[number].inputs}
        divisions.append(divide_segment(f"segment {number}", model, theirs, scale, given, peak_bytes))
        digits |= divisions[-1].digits
        for known, made in zip(values, divisions[-1].made, strict=True):
            known.update(made)
    if all(len(division.groups) == 1 for division in divisions):
        return package
    return _cut_again(layout, package, divisions)


def _cut_again(layout: Layout, package: Package, divisions: Sequence[Division]) -> Package:
    known = slice_metadata(layout)
    name = Path(str(known.get("original_model", "model.onnx"))).name
    groups = [group for division in divisions for group in division.groups]
    with tempfile.TemporaryDirectory(prefix="partwise-fit-") as folder:
        path = Path(folder) / name
        path.write_bytes(_joined(sealed_onnx(package.whole()), [division.model for division in divisions]))
        source = open_model(str(path), CaptureOptions(optimize="off"))
        graph = source.capture()
        known_nodes = {node.name for node in graph.nodes}
        together = tuple(kept for group in groups if len(kept := tuple(n for n in group if n in known_nodes)) > 1)
        plan = api.plan(graph, stages=len(groups), constraints=Constraints(together=together))
        made = api.cut(source, plan, layout.package)
        for number in range(len(made.manifest.segments)):
            write_onnx(layout, made, number)
        describe(layout, path, graph, plan, made)
    return made


def _joined(whole: bytes, models: Sequence[bytes]) -> bytes:
    """The whole model again, out of its segments; each node is named after its output."""
    onnx = require("onnx")
    proto = onnx.load_from_string(whole)
    nodes, weights = dict[str, Any](), dict[str, Any]()
    for number, model in enumerate(models):
        graph = onnx.load_from_string(model).graph
        renamed = _collect(graph.initializer, weights, number)
        for node in graph.node:
            for place, read in enumerate(node.input):
                node.input[place] = renamed.get(read, read)
            node.name = node.output[0]
            nodes.setdefault(node.output[0], node)
    del proto.graph.node[:], proto.graph.initializer[:], proto.graph.value_info[:]
    proto.graph.node.extend(nodes.values())
    proto.graph.initializer.extend(weights.values())
    return onnx.shape_inference.infer_shapes(proto).SerializeToString(deterministic=True)


def _collect(tensors: Any, weights: dict[str, Any], number: int) -> dict[str, str]:
    """Add a segment's weights to those of the others; new names of those whose name is taken by other bytes."""
    to_array = require("onnx").numpy_helper.to_array
    renamed = dict[str, str]()
    for tensor in tensors:
        held = weights.get(tensor.name)
        if held is not None and to_array(held).tobytes() != to_array(tensor).tobytes():
            before, tensor.name = tensor.name, f"{tensor.name}/of/{number}"
            renamed[before] = tensor.name
        weights[tensor.name] = tensor
    return renamed
