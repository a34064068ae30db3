"""Rows for ATen: the functional overloads that `run_decompositions({})` leaves in a graph.

Source of the list: the 26 architectures of docs/capture.md need these; each was exported and read.
"""

from __future__ import annotations

from partwise.ir.operators import rules
from partwise.ir.operators.row import Kind, Operator

__all__ = ["ATEN"]

_CONTRACTIONS = {
    "linear.default": (Kind.MATMUL, rules.linear),
    "matmul.default": (Kind.MATMUL, rules.matmul),
    "mm.default": (Kind.MATMUL, rules.matmul),
    "mv.default": (Kind.MATMUL, rules.matmul),
    "dot.default": (Kind.MATMUL, rules.matmul),
    "bmm.default": (Kind.MATMUL, rules.bmm),
    "addmm.default": (Kind.MATMUL, rules.addmm),
    "baddbmm.default": (Kind.MATMUL, rules.addmm),
    "conv1d.default": (Kind.CONV, rules.convolution),
    "conv2d.default": (Kind.CONV, rules.convolution),
    "conv3d.default": (Kind.CONV, rules.convolution),
    "conv1d.padding": (Kind.CONV, rules.convolution),
    "conv2d.padding": (Kind.CONV, rules.convolution),
    "convolution.default": (Kind.CONV, rules.convolution),
    "scaled_dot_product_attention.default": (Kind.ATTENTION, rules.attention),
}

_VIEWS = """
alias.default detach.default expand.default expand_as.default diagonal.default movedim.int movedim.intlist
narrow.int permute.default select.int slice.Tensor split.Tensor split_with_sizes.default split.sizes chunk.default
squeeze.default squeeze.dim squeeze.dims swapaxes.default t.default transpose.int unbind.int unflatten.int
unfold.default unsqueeze.default view.default _unsafe_view.default view_as.default tensor_split.sections mT.default
""".split()

_ELEMENTWISE = """
abs.default add.Scalar add.Tensor addcmul.default bitwise_and.Tensor bitwise_and.Scalar bitwise_not.default
bitwise_or.Tensor bitwise_xor.Tensor bitwise_left_shift.Tensor_Scalar bitwise_right_shift.Tensor_Scalar
ceil.default clamp.default clamp.Tensor clamp_max.default clamp_min.default cos.default div.Scalar div.Tensor
div.Tensor_mode div.Scalar_mode elu.default eq.Scalar eq.Tensor erf.default exp.default exp2.default expm1.default
floor.default floor_divide.default fmod.Scalar fmod.Tensor ge.Scalar ge.Tensor gelu.default gt.Scalar gt.Tensor
hardsigmoid.default hardswish.default hardtanh.default isfinite.default isinf.default isnan.default le.Scalar
le.Tensor leaky_relu.default lerp.Scalar lerp.Tensor log.default log1p.default log2.default logical_and.default
logical_not.default logical_or.default logical_xor.default lt.Scalar lt.Tensor masked_fill.Scalar
masked_fill.Tensor maximum.default minimum.default mish.default mul.Scalar mul.Tensor nan_to_num.default ne.Scalar
ne.Tensor neg.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prelu.default reciprocal.default relu.default
relu6.default remainder.Scalar remainder.Tensor round.default rsqrt.default rsub.Scalar rsub.Tensor selu.default
sigmoid.default sign.default silu.default sin.default softplus.default sqrt.default square.default sub.Scalar
sub.Tensor tan.default tanh.default tril.default triu.default trunc.default where.ScalarOther where.ScalarSelf
where.self where.Scalar __and__.Tensor __and__.Scalar __or__.Tensor __xor__.Tensor __lshift__.Scalar
__rshift__.Scalar log_sigmoid.default threshold.default glu.default atan2.default special_expit.default
""".split()

_MOVEMENT = """
_to_copy.default cat.default clone.default concat.default constant_pad_nd.default contiguous.default
flip.default gather.default index.Tensor index_select.default masked_select.default pad.default
pixel_shuffle.default pixel_unshuffle.default repeat.default repeat_interleave.self_int roll.default
scatter.src scatter.value scatter_add.default select_scatter.default slice_scatter.default stack.default
take_along_dim.default tile.default copy.default index_put.default index_add.default view_copy.default
expand_copy.default lift_fresh_copy.default one_hot.default im2col.default channel_shuffle.default
bucketize.Tensor diff.default searchsorted.Tensor
""".split()

_FACTORY = """
arange.default arange.start arange.start_step empty.memory_format empty_like.default eye.default eye.m full.default
full_like.default linspace.default new_empty.default new_full.default new_ones.default new_zeros.default
ones.default ones_like.default scalar_tensor.default zeros.default zeros_like.default
""".split()

_REDUCTION = """
all.default all.dim all.dims amax.default amin.default any.default any.dim any.dims argmax.default argmin.default
argsort.default cumprod.default cumsum.default linalg_vector_norm.default logsumexp.default max.default max.dim
mean.default mean.dim min.default min.dim norm.ScalarOpt_dim prod.default prod.dim_int sort.default sort.stable
std.correction std.dim sum.default sum.dim_IntList topk.default var.correction var.dim var_mean.correction
_softmax.default softmax.int _log_softmax.default log_softmax.int
""".split()

_NORM = """
_native_batch_norm_legit_no_training.default batch_norm.default group_norm.default instance_norm.default
layer_norm.default native_group_norm.default native_layer_norm.default rms_norm.default _fused_rms_norm.default
local_response_norm.default
""".split()

_POOL = """
_adaptive_avg_pool2d.default adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_max_pool2d.default
avg_pool1d.default avg_pool2d.default avg_pool3d.default max_pool1d.default max_pool2d.default
max_pool2d_with_indices.default max_pool3d.default upsample_bicubic2d.vec upsample_bilinear2d.vec
upsample_nearest2d.vec upsample_bicubic2d.default upsample_bilinear2d.default upsample_nearest2d.default
upsample_nearest1d.vec grid_sampler_2d.default
""".split()

_STATE = ["index_copy.default"]
_CHEAP_REDUCTIONS = frozenset("all.default all.dim any.default any.dim cumsum.default max.default".split())
# A product of positions with inverse frequencies: cheap where the contraction has this length at most.


def _rows() -> list[Operator]:
    names = {
        Kind.VIEW: _VIEWS,
        Kind.ELEMENTWISE: _ELEMENTWISE,
        Kind.MOVEMENT: _MOVEMENT,
        Kind.FACTORY: _FACTORY,
        Kind.REDUCTION: _REDUCTION,
        Kind.NORM: _NORM,
        Kind.POOL: _POOL,
        Kind.STATE: _STATE,
        Kind.EMBEDDING: ["embedding.default"],
    }
    cheap_kinds = {Kind.VIEW, Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.FACTORY}
    rows = [
        Operator(
            name=f"aten.{name}",
            kind=kind,
            cheap=kind in cheap_kinds or name in _CHEAP_REDUCTIONS,
            limit=kind is Kind.FACTORY,
        )
        for kind, listed in names.items()
        for name in listed
    ]
    return rows + [Operator(name=f"aten.{name}", kind=kind, macs=rule) for name, (kind, rule) in _CONTRACTIONS.items()]


ATEN: tuple[Operator, ...] = (
    *_rows(),
    Operator(name="partwise.experts.default", kind=Kind.EXPERTS, macs=rules.experts),
)
