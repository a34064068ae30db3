"""A small package for tests, made by hand: no model, no framework.

x [batch, 4] ── linear ─ relu ──┬── linear ──┬── add ── linear ── y [batch, 3]
mask [batch] ─ to float ── view ┼────────────┴── mul      (the mask's part is derived: repeated, never sent)
                                └── skips the second segment
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from partwise.cutting import segment_graph
from partwise.digest import canonical_json, sha256_digest
from partwise.ir import (
    DType,
    Format,
    Graph,
    Node,
    Output,
    Ref,
    Symbol,
    TensorSpec,
    Weight,
    contract,
    divide,
    graph_digest,
    graph_to_data,
)  # fmt: skip
from partwise.packaging import (
    MANIFEST_VERSION,
    Descriptor,
    Manifest,
    Package,
    Port,
    SegmentEntry,
    SegmentFile,
    open_package,
    write_package,
)  # fmt: skip

__all__ = ["change_graph", "change_manifest", "example", "heavy_package", "small_graph", "small_package", "weights"]

_PENDING = Descriptor(media_type="", digest="sha256:" + "0" * 64, size=0)


def small_graph() -> Graph:
    """The graph of the picture above."""
    f32, wide, narrow = DType.FLOAT32, ("batch", 4), ("batch", 3)
    specs = {
        "x": (f32, wide), "mask": (DType.BOOL, ("batch",)), "w0": (f32, (4, 4)), "w1": (f32, (4, 4)),
        "w2": (f32, (3, 4)), "first": (f32, wide), "active": (f32, wide), "second": (f32, wide),
        "number": (f32, ("batch",)), "column": (f32, ("batch", 1)), "masked": (f32, wide), "sum": (f32, wide),
        "third": (f32, narrow),
    }  # fmt: skip
    calls = [
        ("first", "aten.linear.default", "x", "w0"),
        ("active", "aten.relu.default", "first"),
        ("second", "aten.linear.default", "active", "w1"),
        ("number", "aten._to_copy.default", "mask"),
        ("column", "aten.unsqueeze.default", "number", -1),
        ("masked", "aten.mul.Tensor", "second", "column"),
        ("sum", "aten.add.Tensor", "masked", "active"),
        ("third", "aten.linear.default", "sum", "w2"),
    ]
    from partwise.ir import Enum

    kwargs = {"number": (("dtype", Enum("dtype", "float32")),)}
    nodes = tuple(
        Node(op=op, args=tuple(Ref(a) if isinstance(a, str) else a for a in args), kwargs=kwargs.get(name, ()),
             outputs=(name,))
        for name, op, *args in calls
    )  # fmt: skip
    return Graph(
        format=Format.TORCH,
        name="small",
        settings=(),
        symbols=(Symbol(name="batch", hint=2, input="x", dim=0),),
        inputs=("x", "mask"),
        weights=tuple(Weight(tensor=name, key=name, trainable=True) for name in ("w0", "w1", "w2")),
        outputs=(Output(name="y", tensor="third"),),
        tensors=tuple(TensorSpec(name=name, dtype=dtype, shape=shape) for name, (dtype, shape) in specs.items()),
        nodes=nodes,
    )


def weights() -> dict[str, np.ndarray]:
    """Its weights."""
    generator = np.random.default_rng(7)
    shapes = {"w0": (4, 4), "w1": (4, 4), "w2": (3, 4)}
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def example(batch: int = 2, seed: int = 1) -> dict[str, np.ndarray]:
    """Inputs that fit."""
    x = np.random.default_rng(seed).standard_normal((batch, 4)).astype(np.float32)
    return {"x": x, "mask": np.arange(batch) % 2 == 0}


def stream(count: int) -> Iterator[dict[str, np.ndarray]]:
    """Requests of one, two and three rows, no two alike."""
    return (example(batch=1 + number % 3, seed=number) for number in range(count))


def small_package(out: Path, engine: str = "torch", check: Callable[[Package], Manifest] | None = None) -> Package:
    """It in three segments: (linear, relu) (linear) (mul, add, linear)."""
    graph = small_graph()
    parts = divide(contract(graph), [[0, 1], [2], [5, 6, 7]])
    home = {name: number for number, part in enumerate(parts) for name in part.outputs}

    def port(name: str, source: int | None = None) -> Port:
        spec = graph.spec[name]
        return Port(tensor=name, dtype=spec.dtype, shape=spec.shape, source=source)

    files = tuple(
        SegmentFile(
            entry=SegmentEntry(
                graph=_PENDING,
                inputs=tuple(port(name, home.get(name)) for name in part.inputs),
                outputs=tuple(port(name) for name in part.outputs),
                weights=(), weight_bytes=0, peak_bytes=0, flops=0,
            ),
            graph=canonical_json(graph_to_data(segment_graph(graph, part, f"segment_{number}"))),
            weights=part.weights,
        )
        for number, part in enumerate(parts)
    )  # fmt: skip
    manifest = Manifest(
        version=MANIFEST_VERSION, model="small", format=Format.TORCH, graph=graph_digest(graph), plan=_PENDING,
        whole=_PENDING, engine=engine, symbols=graph.symbols, inputs=tuple(port(n) for n in graph.inputs),
        outputs=graph.outputs, segments=(),
    )  # fmt: skip
    whole = canonical_json(graph_to_data(graph))
    return write_package(out, manifest, b"{}", whole, files, weights(), check)


def heavy_package(folder: Path) -> Package:
    """The small package in `folder` with stages of 1, 3 and 2 MiB, as planned; its values are a few hundred bytes."""
    package = small_package(folder, "null")

    def weigh(data: Any) -> None:
        for segment, mebibytes in zip(data["segments"], (1, 3, 2), strict=True):
            segment.update(peak_bytes=mebibytes << 20)

    change_manifest(package, weigh)
    return open_package(package.path)


def change_manifest(package: Package, change: Callable[[Any], None]) -> None:
    """Rewrite a package's manifest after changing its plain data."""
    path = package.path / "manifest.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(json.dumps(data).encode())


def change_graph(package: Package, number: int, change: Callable[[Any], object]) -> Package:
    """Rewrite a segment's graph with a manifest that fits it: what a hostile author would publish.

    `change` edits the graph's plain data, or returns the bytes to write instead.
    """
    path = package.path / "segments" / f"segment_{number}.json"
    data = json.loads(path.read_bytes())
    changed = change(data)
    written = changed if isinstance(changed, bytes) else json.dumps(data).encode()
    path.write_bytes(written)
    entry = package.manifest.segments[number]
    described = replace(entry.graph, digest=sha256_digest(written), size=len(written))

    def adopt(manifest: Any) -> None:
        manifest["segments"][number]["graph"].update(digest=described.digest, size=described.size)

    change_manifest(package, adopt)
    return open_package(package.path)
