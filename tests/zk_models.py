"""Small ONNX models to prove, and a sliced, compiled and proved one whose keys take a second or two."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from partwise.dsperse import Layout, compile_slices, prove_run, run_slices, slice_model
from partwise.extras import require
from partwise.verification.zk import CircuitSettings, Prover, make_prover

__all__ = [
    "SKIP",
    "SKIP_WEIGHTS",
    "TINY",
    "Proved",
    "own_folders",
    "proved",
    "request_file",
    "skip_model",
    "write_model",
]

TINY = CircuitSettings(scale=5, base=64, legs=4)
SKIP = """
g (float[1,4] x) => (float[1,4] y) {
  a = Gemm <transB=1> (x, W0, B0)
  b = Relu (a)
  c = Gemm <transB=1> (b, W1, B1)
  d = Relu (c)
  e = Gemm <transB=1> (d, W2, B2)
  y = Add (e, b)
}
"""
SKIP_WEIGHTS: dict[str, tuple[int, ...]] = {
    f"{kind}{at}": (4, 4) if kind == "W" else (4,) for at in range(3) for kind in "WB"
}


def write_model(path: Path, text: str, weights: dict[str, tuple[int, ...]], seed: int = 0) -> Path:
    """An ONNX file from ONNX's own text format; its weights are seeded noise of He's size."""
    onnx = require("onnx")
    model = require("onnx.parser").parse_model(f'<ir_version: 8, opset_import: ["": 13]>{text}')
    noise = np.random.default_rng(seed)
    for name, shape in weights.items():
        value = noise.standard_normal(shape) / np.sqrt(shape[-1])
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def skip_model(path: Path) -> Path:
    """Three products with a value that crosses two cuts."""
    return write_model(path, SKIP, SKIP_WEIGHTS)


@contextmanager
def own_folders(folder: Path) -> Generator[None]:
    """The user's state and cache in a folder of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@dataclass(frozen=True)
class Proved:
    """A model folder with a proved run."""

    layout: Layout
    run: Path
    request: Path
    manifest: str
    prover: Prover


def request_file(path: Path, seed: int = 1) -> Path:
    """A request for a model with one input x [1, 4]."""
    path.write_text(json.dumps({"x": np.random.default_rng(seed).standard_normal((1, 4)).round(3).tolist()}))
    return path


def proved(folder: Path) -> Proved:
    """Slice, compile, run and prove the model with a skip connection."""
    prover = make_prover("ezkl", insecure=True)
    layout, _ = slice_model(skip_model(folder / "model.onnx"))
    compiled = compile_slices(layout, prover, TINY)
    request = request_file(folder / "input.json")
    run = run_slices(layout, prover, request).path
    prove_run(layout, run, prover)
    return Proved(layout=layout, run=run, request=request, manifest=compiled.manifest.digest, prover=prover)
