"""Rows for ONNX: every operator of the standard's domains up to opset 28, but the random and training ones.

Source of the list: `onnx.defs.get_all_schemas_with_history()` of onnx 1.23.2; a test compares the two.
Nothing here is a view: between ONNX nodes every value is a tensor of its own, whatever the engine does inside.
Sequences and optionals are the exception: they are references to tensors, so what makes one is repeated where
it is read (`Kind.VIEW`), and only tensors cross a cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from partwise.ir.operators import onnx_rules as rules
from partwise.ir.operators.row import Kind, Operator, Rule

__all__ = ["ONNX", "ONNX_RANDOM", "rows"]

_CONTRACTIONS: dict[str, tuple[Kind, Rule]] = {
    "Attention": (Kind.ATTENTION, rules.attention),
    "CausalConvWithState": (Kind.CONV, rules.convolution),
    "Conv": (Kind.CONV, rules.convolution),
    "ConvInteger": (Kind.CONV, rules.convolution),
    "ConvTranspose": (Kind.CONV, rules.transposed_convolution),
    "DeformConv": (Kind.CONV, rules.convolution),
    "Einsum": (Kind.MATMUL, rules.einsum),
    "GRU": (Kind.MATMUL, rules.recurrent),
    "Gemm": (Kind.MATMUL, rules.gemm),
    "LSTM": (Kind.MATMUL, rules.recurrent),
    "LinearAttention": (Kind.ATTENTION, rules.linear_attention),
    "MatMul": (Kind.MATMUL, rules.matmul),
    "MatMulInteger": (Kind.MATMUL, rules.matmul),
    "QLinearConv": (Kind.CONV, rules.quantized_convolution),
    "QLinearMatMul": (Kind.MATMUL, rules.matmul),
    "RNN": (Kind.MATMUL, rules.recurrent),
}

_LISTED = {
    Kind.ELEMENTWISE: """
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
        Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Div Dropout Elu Equal Erf Exp Floor Gelu Greater
        GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish
        Mod Mul Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh
        Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Where Xor""",
    Kind.MOVEMENT: """
        CenterCropPad Compress Concat DepthToSpace Expand Flatten GatherElements GatherND NonZero OneHot
        Pad Reshape ReverseSequence RotaryEmbedding Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth
        Split Squeeze TensorScatter Tile Transpose Trilu Unique Unsqueeze""",
    Kind.FACTORY: """
        AffineGrid BlackmanWindow Constant ConstantOfShape EyeLike HammingWindow HannWindow MelWeightMatrix Range""",
    Kind.REDUCTION: """
        ArgMax ArgMin CumProd CumSum DFT Det DynamicQuantizeLinear Hardmax LogSoftmax NegativeLogLikelihoodLoss
        NonMaxSuppression ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
        ReduceSum ReduceSumSquare STFT Softmax SoftmaxCrossEntropyLoss TopK""",
    Kind.NORM: """
        BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization
        MeanVarianceNormalization RMSNormalization""",
    Kind.POOL: """
        AveragePool Col2Im GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample LpPool MaxPool MaxRoiPool
        MaxUnpool Resize RoiAlign Upsample""",
    Kind.EMBEDDING: "Gather",
    Kind.CONTROL: "If Loop Scan SequenceMap",
    Kind.VIEW: """
        ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty
        SequenceErase SequenceInsert SequenceLength SplitToSequence""",
}
_TEXT = "ImageDecoder RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer".split()

_ML = {
    Kind.ELEMENTWISE: "Binarizer Imputer LabelEncoder OneHotEncoder Scaler CategoryMapper CastMap",
    Kind.MOVEMENT: "ArrayFeatureExtractor FeatureVectorizer DictVectorizer ZipMap",
    Kind.REDUCTION: "Normalizer TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
}
_ML_CONTRACTIONS: dict[str, tuple[Kind, Rule]] = {
    "LinearClassifier": (Kind.MATMUL, rules.ml_linear),
    "LinearRegressor": (Kind.MATMUL, rules.ml_linear),
    "SVMClassifier": (Kind.MATMUL, rules.ml_support_vectors),
    "SVMRegressor": (Kind.MATMUL, rules.ml_support_vectors),
}

_UNCOUNTED = frozenset("DFT Det Inverse STFT TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor".split())
"""Spectra, decompositions of matrices, walks through trees: no rule counts their arithmetic."""
_CHEAP_KINDS = frozenset({Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.FACTORY, Kind.VIEW})
_CHEAP_OTHERS = frozenset("ArgMax ArgMin CumSum Gather ReduceMax ReduceMin ReduceProd ReduceSum".split())
"""On positions and masks; what reads a large table is not cheap all the same (`ir.contraction`)."""

ONNX_RANDOM = frozenset(
    f"onnx.{name}"
    for name in "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)
"""Refused: two runs would differ."""


def rows(
    domain: str, listed: Mapping[Kind, str], contractions: Mapping[str, tuple[Kind, Rule]], text: Sequence[str] = ()
) -> tuple[Operator, ...]:
    """Rows of one domain.

    Args:
        domain: what stands before the operator's name.
        listed: operators without multiply-accumulates, by kind.
        contractions: those with, by name.
        text: operators on strings and encoded images.
    """
    plain = [
        Operator(
            name=f"{domain}.{name}",
            kind=kind,
            cheap=kind in _CHEAP_KINDS or name in _CHEAP_OTHERS,
            macs=rules.bodies if kind is Kind.CONTROL else None,
            uncounted=name in _UNCOUNTED,
            limit=kind is Kind.FACTORY,
        )
        for kind, names in listed.items()
        for name in names.split()
    ]
    plain += [Operator(name=f"{domain}.{name}", kind=Kind.MOVEMENT) for name in text]
    return (
        *plain,
        *(Operator(name=f"{domain}.{name}", kind=kind, macs=rule) for name, (kind, rule) in contractions.items()),
    )


ONNX: tuple[Operator, ...] = (
    *rows("onnx", _LISTED, _CONTRACTIONS, _TEXT),
    *rows("ai.onnx.ml", _ML, _ML_CONTRACTIONS),
    *rows("ai.onnx.preview", {}, {"FlexAttention": (Kind.ATTENTION, rules.attention)}),
)
