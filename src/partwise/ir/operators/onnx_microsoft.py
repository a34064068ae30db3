"""Rows for onnxruntime's own operators: what its optimizer writes, and what exporters write for it.

Source of the list: the com.microsoft and com.microsoft.nchwc kernels that onnxruntime 1.31.1 has for the CPU
(`get_all_opkernel_def`), but those that sample, search, or hold another engine's binary.
"""

from __future__ import annotations

from partwise.ir.operators import onnx_rules as rules
from partwise.ir.operators.onnx import rows
from partwise.ir.operators.row import Kind, Operator, Rule

__all__ = ["MICROSOFT"]

_CONTRACTIONS: dict[str, tuple[Kind, Rule]] = {
    "Attention": (Kind.ATTENTION, rules.projecting_attention),
    "CDist": (Kind.MATMUL, rules.distances),
    "CausalConvWithState": (Kind.CONV, rules.convolution),
    "ConvTransposeWithDynamicPads": (Kind.CONV, rules.transposed_convolution),
    "DecoderMaskedMultiHeadAttention": (Kind.ATTENTION, rules.multi_head_attention),
    "DynamicQuantizeLSTM": (Kind.MATMUL, rules.recurrent),
    "DynamicQuantizeMatMul": (Kind.MATMUL, rules.matmul),
    "FusedConv": (Kind.CONV, rules.convolution),
    "FusedGemm": (Kind.MATMUL, rules.gemm),
    "FusedMatMul": (Kind.MATMUL, rules.matmul),
    "FusedMatMulActivation": (Kind.MATMUL, rules.matmul),
    "GroupQueryAttention": (Kind.ATTENTION, rules.group_query_attention),
    "LinearAttention": (Kind.ATTENTION, rules.linear_attention),
    "MatMulBnb4": (Kind.MATMUL, rules.matmul),
    "MatMulFpQ4": (Kind.MATMUL, rules.matmul),
    "MatMulInteger16": (Kind.MATMUL, rules.matmul),
    "MatMulIntegerToFloat": (Kind.MATMUL, rules.matmul),
    "MatMulNBits": (Kind.MATMUL, rules.matmul),
    "MoE": (Kind.EXPERTS, rules.mixture_of_experts),
    "MultiHeadAttention": (Kind.ATTENTION, rules.multi_head_attention),
    "NhwcFusedConv": (Kind.CONV, rules.convolution),
    "QAttention": (Kind.ATTENTION, rules.quantized_projecting_attention),
    "QGemm": (Kind.MATMUL, rules.gemm),
    "QLinearConv": (Kind.CONV, rules.quantized_convolution),
    "SparseToDenseMatMul": (Kind.MATMUL, rules.matmul),
    "TransposeMatMul": (Kind.MATMUL, rules.matmul),
}

_LISTED = {
    Kind.ELEMENTWISE: """
        BiasAdd BiasGelu BiasSplitGelu ComplexMul ComplexMulConj DequantizeLinear FastGelu GatedAdd Gelu
        QLinearAdd QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearWhere QuantizeLinear QuickGelu ScaledSiLU""",
    Kind.MOVEMENT: """
        CropAndResize ExpandDims GatherND MRotaryEmbedding Pad QLinearConcat RotaryEmbedding Trilu UnfoldTensor
        Unique""",
    Kind.FACTORY: "Range",
    Kind.EMBEDDING: "EmbedLayerNormalization GatherBlockQuantized QEmbedLayerNormalization",
    Kind.REDUCTION: "BiasSoftmax Inverse IsAllFinite QLinearReduceMean QLinearSoftmax ReduceSumInteger",
    Kind.NORM: """
        BranchwiseRMSNorm GatedRMSNorm GroupNorm SkipGroupNorm SkipLayerNormalization
        SkipSimplifiedLayerNormalization""",
    Kind.POOL: "GridSample MaxpoolWithMask NhwcMaxPool QLinearAveragePool QLinearGlobalAveragePool",
}
_BLOCKED = {
    Kind.POOL: "AveragePool GlobalAveragePool GlobalMaxPool MaxPool Upsample",
    Kind.MOVEMENT: "ReorderInput ReorderOutput",
}
"""The layout of one kind of CPU: channels in blocks of 8 or 16, rounded up."""

MICROSOFT: tuple[Operator, ...] = (
    *rows("com.microsoft", _LISTED, _CONTRACTIONS),
    *rows("com.microsoft.nchwc", _BLOCKED, {"Conv": (Kind.CONV, rules.blocked_convolution)}),
    # onnxruntime keeps this one in the standard's domain, though the standard has no such operator.
    Operator(name="onnx.SimplifiedLayerNormalization", kind=Kind.NORM),
)
