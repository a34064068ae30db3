"""`slice`: a model cut into segments as it is, no engine's optimizer before it, each an ONNX file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from partwise import api
from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.digest import canonical_json, file_digest
from partwise.dsperse.layout import Layout, slice_metadata
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.frontends import CaptureOptions, open_model, refuse_other_sizes, takes
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.planning import Plan

__all__ = ["describe", "refuse_stale", "slice_model", "write_onnx"]


def slice_model(
    model: Path,
    out: Path | None = None,
    *,
    max_parameters: int | None = None,
    max_layers: int | None = None,
    stages: int | None = None,
    objective: str | None = None,
    batch: int | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> tuple[Layout, Package]:
    """Write `slices/` and `analysis/` of a model.

    Args:
        model: an ONNX file.
        out: the model folder; by default the one that the file lies in.
        max_parameters: of a segment; Dsperse's `--max-nodes`.
        max_layers: of a segment; 1 where nothing else limits it.
        stages: exactly so many segments.
        objective: of the plan.
        batch: fixes the batch of a model that leaves it open.
        on_progress: called with (what is being done, how much is done, how much there is).

    Raises:
        InputError: no ONNX model, or one of dynamic shapes.
        PlanError: no plan keeps the limits.
    """
    if max_parameters is None and max_layers is None and stages is None:
        max_layers = 1
    if not takes(str(model), "optimize"):
        raise InputError(str(model), "is no ONNX model: only those are sliced for proofs")
    source = open_model(str(model), CaptureOptions(optimize="off", batch=batch, static=batch is not None))
    graph = source.capture()
    refuse_other_sizes(graph, CaptureOptions(batch=batch))
    _refuse_unfit(model, graph)
    layout = Layout((model.parent if out is None else out).resolve())
    plan = api.plan(graph, max_parameters=max_parameters, max_layers=max_layers, stages=stages, objective=objective)
    layout.slices.mkdir(parents=True, exist_ok=True)
    package = api.cut(source, plan, layout.package)
    for number in range(len(package.manifest.segments)):
        if on_progress:
            on_progress(f"segment {number}", number, len(package.manifest.segments))
        write_onnx(layout, package, number)
    describe(layout, model, graph, plan, package, digest=file_digest(model))
    return layout, package


def refuse_stale(layout: Layout) -> None:
    """Whether the model that lies beside slices is still the one that they were cut from.

    Raises:
        InputError: it has changed since.
    """
    known = slice_metadata(layout)
    model, digest = layout.folder / Path(str(known.get("original_model", ""))).name, known.get("model_digest")
    if digest is not None and model.is_file() and file_digest(model) != digest:
        raise InputError(str(model), "is not the model that the slices beside it were cut from", expected=digest,
                         got=file_digest(model), hint=f"partwise slice {model.name}")  # fmt: skip


def describe(
    layout: Layout, model: Path, graph: Graph, plan: Plan, package: Package, *, digest: str | None = None
) -> None:
    """Write what was sliced, for people and other tools.

    Args:
        layout: of the slices.
        model: their source.
        graph: of the model.
        plan: of the segments.
        package: of the segments.
        digest: of the model's file; None where it is one made from what was sliced before, which is kept.
    """
    if digest is None and layout.metadata.is_file():
        digest = slice_metadata(layout).get("model_digest")
    described = canonical_json(_described(model, graph, plan, package) | {"model_digest": digest})
    layout.analysis.parent.mkdir(exist_ok=True)
    write_whole(layout.analysis, described)
    write_whole(layout.metadata, described)


def write_onnx(layout: Layout, package: Package, number: int) -> Path:
    """A segment's ONNX file, as the package has it; left alone where it is the same already."""
    path, data = layout.onnx(number), sealed_onnx(package.segment(number))
    if not path.is_file() or path.is_symlink() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return path


def _refuse_unfit(model: Path, graph: Graph) -> None:
    if graph.symbols:
        names = ", ".join(symbol.name for symbol in graph.symbols)
        raise InputError(str(model), "has dynamic shapes; a circuit has fixed ones", got=names, hint="--batch 1")


def _described(model: Path, graph: Graph, plan: Plan, package: Package) -> dict[str, Any]:
    """What Dsperse calls metadata; paths are relative to `slices/`."""
    manifest = package.manifest
    shapes = {port.tensor: list(port.shape or ()) for s in manifest.segments for port in (*s.inputs, *s.outputs)}
    segments = [
        {
            "index": number,
            "filename": f"segment_{number}.onnx",
            "path": f"segment_{number}/segment_{number}.onnx",
            "parameters": plan.stages[number].parameters,
            "shape": {
                "tensor_shape": {
                    "input": [shapes[port.tensor] for port in segment.inputs],
                    "output": [shapes[port.tensor] for port in segment.outputs],
                }
            },
            "dependencies": {
                "input": [port.tensor for port in segment.inputs],
                "output": [port.tensor for port in segment.outputs],
            },
            "layers": [graph.nodes[index].op.removeprefix("onnx.") for index in plan.stages[number].nodes],
        }
        for number, segment in enumerate(manifest.segments)
    ]
    return {
        "original_model": model.name,
        "model_type": "ONNX",
        "package": package.digest,
        "total_parameters": sum(stage.parameters for stage in plan.stages),
        "input_shape": [list(port.shape or ()) for port in manifest.inputs],
        "output_shapes": [shapes.get(output.tensor, []) for output in manifest.outputs],
        "segments": segments,
    }
