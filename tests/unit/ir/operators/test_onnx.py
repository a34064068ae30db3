"""The operator table against the onnx and onnxruntime that are installed, and its counts against hand-made ones."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import partwise.ir as ir
from partwise.extras import require
from partwise.ir.operators import ONNX_RANDOM
from partwise.onnx_values import op_name

_TRAINING = "ai.onnx.preview.training"
_NO_ROWS = frozenset(
    """AttnLSTM BeamSearch BifurcationDetector DynamicTimeWarping EngramGate GreedySearch HyperConnectionPostMix
    HyperConnectionPreMix LinearAttentionGate MurmurHash3 NGramHashMapping NGramRepeatBlock QMoE SampleOp Sampling
    SparseAttention Tokenizer VarlenNGramHashMapping WhisperBeamSearch WordConvEmbedding""".split()
)
"""Kernels of com.microsoft that sample, search, or that no exporter or optimizer writes: refused by name."""


def test_every_operator_of_the_standard_has_a_row_or_is_refused_by_name() -> None:
    schemas = require("onnx").defs.get_all_schemas_with_history()
    named = {op_name(schema.domain, schema.name) for schema in schemas if schema.domain != _TRAINING}
    assert named - ir.OPERATORS.keys() == ONNX_RANDOM


def test_every_kernel_of_onnxruntime_has_a_row_or_is_known_to_have_none() -> None:
    kernels = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state").get_all_opkernel_def()
    named = {
        op_name(kernel.domain, kernel.op_name)
        for kernel in kernels
        if kernel.provider == "CPUExecutionProvider" and kernel.domain.startswith("com.microsoft")
    }
    assert {name.removeprefix("com.microsoft.") for name in named - ir.OPERATORS.keys()} <= _NO_ROWS


_COUNTS: list[tuple[str, list[tuple[int, ...] | None], tuple[int, ...], dict[str, Any], int]] = [
    ("onnx.MatMul", [(2, 3, 4), (4, 5)], (2, 3, 5), {}, 2 * 3 * 4 * 5),
    ("onnx.Gemm", [(3, 4), (4, 5)], (3, 5), {}, 3 * 4 * 5),
    ("onnx.Gemm", [(4, 3), (5, 4)], (3, 5), {"transA": 1, "transB": 1}, 3 * 4 * 5),
    ("com.microsoft.FusedMatMul", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), {"transA": 1}, 2 * 3 * 4 * 5),
    ("com.microsoft.FusedMatMul", [(4, 2, 3), (2, 4, 5)], (2, 3, 5), {"transA": 1, "transBatchA": 1}, 2 * 3 * 4 * 5),
    ("onnx.Conv", [(1, 8, 9, 9), (16, 4, 3, 3)], (1, 16, 7, 7), {"group": 2}, 16 * 49 * 4 * 9),
    ("onnx.ConvTranspose", [(1, 8, 5), (8, 3, 4)], (1, 3, 12), {}, 8 * 5 * 3 * 4),
    ("onnx.QLinearConv", [(1, 8, 9), None, None, (4, 8, 3)], (1, 4, 7), {}, 4 * 7 * 8 * 3),
    ("com.microsoft.nchwc.Conv", [(1, 32, 4, 4), (48, 32, 3, 3)], (1, 48, 4, 4), {"@channels": (40, 24)},
     16 * 40 * 24 * 9),
    ("com.microsoft.nchwc.Conv", [(1, 32, 4, 4), (32, 1, 1, 1)], (1, 32, 4, 4), {"@channels": (0, 0)}, 0),
    ("onnx.LSTM", [(7, 2, 5), (1, 12, 5), (1, 12, 3)], (7, 1, 2, 3), {}, 7 * 2 * (12 * 5 + 12 * 3)),
    ("onnx.Einsum", [(2, 3, 4), (4, 5)], (2, 3, 5), {"equation": "bij,jk->bik"}, 2 * 3 * 4 * 5),
    ("onnx.Einsum", [(2, 3, 4), (4, 5)], (2, 3, 5), {"equation": "...j,jk"}, 2 * 3 * 4 * 5),
    ("onnx.Einsum", [(3, 4), (4, 5), (5, 6)], (3, 6), {"equation": "ij,jk,kl->il"}, 3 * 4 * 5 + 3 * 5 * 6),
    ("onnx.Einsum", [(3, 4)], (3,), {"equation": "ij->i"}, 0),
    ("onnx.Attention", [(2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 6)], (2, 4, 5, 6), {}, 2 * 4 * 5 * 7 * (8 + 6)),
    (
        "onnx.Attention",
        [(2, 5, 32), (2, 7, 16), (2, 7, 16)], (2, 5, 32),
        {"q_num_heads": 4, "kv_num_heads": 2}, 2 * 4 * 5 * 7 * (8 + 8),
    ),
    ("com.microsoft.MultiHeadAttention", [(2, 5, 32), (2, 7, 32), (2, 7, 32)], (2, 5, 32), {}, 2 * 5 * 7 * 64),
    ("com.microsoft.MultiHeadAttention", [(2, 5, 4, 3, 8)], (2, 5, 32), {}, 2 * 5 * 5 * 64),
    ("com.microsoft.Attention", [(2, 5, 32), (32, 96)], (2, 5, 32), {}, 2 * 5 * 32 * 96 + 2 * 5 * 5 * 64),
    ("com.microsoft.GroupQueryAttention", [(1, 2, 32), (1, 2, 8), (1, 2, 8), (1, 1, 6, 8)], (1, 2, 32), {}, 2 * 8 * 64),
    ("com.microsoft.MoE", [(5, 8), (5, 4), (4, 16, 8), None, (4, 8, 16)], (5, 8), {"k": 2}, 5 * 2 * (128 + 128)),
    ("onnx.LinearAttention", [(1, 3, 8), (1, 3, 8), (1, 3, 8)], (1, 3, 8),
     {"q_num_heads": 2, "kv_num_heads": 2, "update_rule": "linear"}, 3 * 16 * 4),
    ("ai.onnx.ml.LinearRegressor", [(6, 3)], (6, 1), {"coefficients": (1.0, 2.0, 3.0)}, 18),
    ("com.microsoft.CDist", [(4, 3), (5, 3)], (4, 5), {}, 60),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "output", "attributes", "count"), _COUNTS)
def test_counts(op: str, inputs: list[Any], output: tuple[int, ...], attributes: dict[str, Any], count: int) -> None:
    args = tuple(None if shape is None else ir.Ref(f"in{i}") for i, shape in enumerate(inputs))
    kwargs = tuple(sorted(attributes.items()))
    assert _counted(ir.Node(op=op, args=args, kwargs=kwargs, outputs=("out",)), [*inputs], output) == count


def test_a_body_counts_its_dearest_branch_and_its_trips() -> None:
    def body(macs: ir.Argument) -> ir.Argument:
        return (("graph",), (ir.Ref("in0"),), macs, "")

    branches = (("else_branch", body(3)), ("then_branch", body(ir.Sym("n * 2"))))
    assert _counted(ir.Node(op="onnx.If", args=(), kwargs=branches, outputs=("out",)), [(1,)], (1,), n=5) == 10
    loop = (("@trips", 4), ("body", body(7)))
    assert _counted(ir.Node(op="onnx.Loop", args=(), kwargs=loop, outputs=("out",)), [(1,)], (1,)) == 28


def _counted(node: ir.Node, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], **sizes: int) -> int:
    shapes = {f"in{i}": shape for i, shape in enumerate(inputs) if shape is not None} | {"out": output}
    specs = tuple(ir.TensorSpec(name=n, dtype=ir.DType.FLOAT32, shape=shape) for n, shape in shapes.items())
    graph = ir.Graph(
        format=ir.Format.ONNX,
        name="g",
        settings=(),
        symbols=(),
        inputs=(),
        weights=(),
        outputs=(),
        tensors=specs,
        nodes=(),
    )
    return ir.operator(node.op).count_macs(graph, node, sizes)
