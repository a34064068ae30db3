"""Make a sliced model's segments small enough to prove within a memory limit: where one is too large, the model is
divided anew by price, its largest operators in parts, and the package is cut again.

The new package's model is the old one with some operators in parts. Its integers are those that the undivided circuits
would have, except that a divided normalization is rounded once more; its floats differ by the order of a sum.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from partwise import api
from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.dsperse.atoms import atoms_of
from partwise.dsperse.divide import Division, divide_model, fits
from partwise.dsperse.integers import entered
from partwise.dsperse.layout import Layout, slice_metadata
from partwise.dsperse.slice import describe, write_onnx
from partwise.errors import UnsupportedOpError
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
    values = entered(package, requests, scale)
    digits = {port.tensor: scale for port in package.manifest.inputs}
    if _all_fit(layout, package, scale, values, peak_bytes, on_progress):
        return package
    if on_progress:
        on_progress("division of the model", 0, None)
    places = {
        name: f"segment {number}"
        for number in range(len(package.manifest.segments))
        for name in _outputs(write_onnx(layout, package, number).read_bytes())
    }
    whole = sealed_onnx(package.whole())
    return _cut_again(layout, divide_model(whole, digits, scale, values, peak_bytes, places))


def _all_fit(
    layout: Layout,
    package: Package,
    scale: int,
    inputs: Sequence[Mapping[str, np.ndarray]],
    peak_bytes: int,
    on_progress: Progress | None,
) -> bool:
    """Whether each segment does as it is; one that cuts a Gelu in two does not."""
    segments = package.manifest.segments
    values, digits = [dict(known) for known in inputs], {port.tensor: scale for port in package.manifest.inputs}
    for number, segment in enumerate(segments):
        if on_progress:
            on_progress(f"price of segment {number}", number, len(segments))
        model = write_onnx(layout, package, number).read_bytes()
        given = [{port.tensor: known[port.tensor] for port in segment.inputs} for known in values]
        try:
            atoms = atoms_of(model, {port.tensor: digits[port.tensor] for port in segment.inputs}, scale, given)
        except UnsupportedOpError:
            return False
        if not fits(atoms, peak_bytes):
            return False
        digits |= atoms.digits
        for known, made in zip(values, atoms.made, strict=True):
            known.update(made)
    return True


def _cut_again(layout: Layout, division: Division) -> Package:
    name = Path(str(slice_metadata(layout).get("original_model", "model.onnx"))).name
    with tempfile.TemporaryDirectory(prefix="partwise-fit-") as folder:
        path = Path(folder) / name
        path.write_bytes(_named(division.model))
        source = open_model(str(path), CaptureOptions(optimize="off"))
        graph = source.capture()
        known = {node.name for node in graph.nodes}
        together = (tuple(name for name in group if name in known) for group in division.groups)
        constraints = Constraints(together=tuple(group for group in together if len(group) > 1))
        # Each group is a stage. Slices find that at once; parts that wait for nothing have too many ideals.
        plan = api.plan(graph, stages=len(division.groups), constraints=constraints, solver="slices")
        made = api.cut(source, plan, layout.package)
        for number in range(len(made.manifest.segments)):
            write_onnx(layout, made, number)
        describe(layout, path, graph, plan, made)
    return made


def _outputs(model: bytes) -> list[str]:
    return [node.output[0] for node in require("onnx").load_from_string(model).graph.node]


def _named(model: bytes) -> bytes:
    """The model with each node named after its output, and with the shapes of its values."""
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    for node in proto.graph.node:
        node.name = node.output[0]
    del proto.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(proto).SerializeToString(deterministic=True)
