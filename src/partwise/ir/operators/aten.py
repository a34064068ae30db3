"""Rows for ATen: the functional overloads that `run_decompositions({})` leaves in a graph.

Source of the lists: the architectures of tests/e2e/torch_families.py need most of these; each was exported and
read. The others are their siblings: other overloads and other dimensions of the same operator.
"""

from __future__ import annotations

from collections.abc import Sequence

from partwise.ir.operators import rules
from partwise.ir.operators.row import Kind, Operator, Rule

__all__ = ["ATEN"]

_CONTRACTIONS: dict[str, tuple[Kind, Rule]] = {
    "linear.default": (Kind.MATMUL, rules.linear),
    "bilinear.default": (Kind.MATMUL, rules.bilinear),
    "einsum.default": (Kind.MATMUL, rules.einsum),
    "scaled_dot_product_attention.default": (Kind.ATTENTION, rules.attention),
    "tensordot.default": (Kind.MATMUL, rules.tensordot),
    "linalg_multi_dot.default": (Kind.MATMUL, rules.chain),
    "chain_matmul.default": (Kind.MATMUL, rules.chain),
    "linalg_vecdot.default": (Kind.MATMUL, rules.vector_products),
    "conv_tbc.default": (Kind.MATMUL, rules.time_first_convolution),
    "cdist.default": (Kind.MATMUL, rules.distances),
    "_cdist_forward.default": (Kind.MATMUL, rules.distances),
    "pdist.default": (Kind.MATMUL, rules.distances),
}
_PRODUCTS = (
    "_int_mm.default matmul.default mm.default mv.default dot.default vdot.default bmm.default inner.default".split()
)
_ADDED_PRODUCTS = "addmm.default addmv.default addbmm.default baddbmm.default".split()
_OUTER_PRODUCTS = "addr.default outer.default ger.default kron.default".split()
_CONVOLUTIONS = """
conv1d.default conv2d.default conv3d.default conv1d.padding conv2d.padding conv3d.padding convolution.default
""".split()
_TRANSPOSED_CONVOLUTIONS = "conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input".split()
_RECURRENCES = "lstm.input gru.input rnn_tanh.input rnn_relu.input".split()
_CELLS = "gru_cell.default lstm_cell.default rnn_relu_cell.default rnn_tanh_cell.default".split()

# A view gives memory of its argument, always. What may do so or not (`contiguous`, `reshape`, `to`) is not
# functional and never in these graphs; `type_as` is resolved by the frontend.
_VIEWS = """
_conj.default _neg_view.default _unsafe_view.default alias.default as_strided.default broadcast_tensors.default
chunk.default detach.default diagonal.default expand.default expand_as.default flatten.using_ints imag.default
meshgrid.default meshgrid.indexing mH.default moveaxis.int movedim.int movedim.intlist mT.default narrow.default
numpy_T.default permute.default positive.default real.default select.int slice.Tensor split.sizes split.Tensor
split_with_sizes.default squeeze.default squeeze.dim squeeze.dims swapaxes.default swapdims.default t.default
tensor_split.indices tensor_split.sections transpose.int unbind.int unflatten.int unfold.default unsafe_chunk.default
unsafe_split.Tensor unsafe_split_with_sizes.default unsqueeze.default view.default view.dtype view_as.default
view_as_complex.default view_as_real.default
""".split()

_ELEMENTWISE = """
__and__.Scalar __and__.Tensor __lshift__.Scalar __lshift__.Tensor __or__.Scalar __or__.Tensor __rshift__.Scalar
__rshift__.Tensor __xor__.Scalar __xor__.Tensor _weight_norm.default abs.default absolute.default acos.default
acosh.default add.Scalar add.Tensor addcdiv.default addcmul.default angle.default arctan2.default asin.default
asinh.default atan.default atan2.default atanh.default bitwise_and.Scalar bitwise_and.Tensor bitwise_left_shift.Tensor
bitwise_left_shift.Tensor_Scalar bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor bitwise_right_shift.Tensor
bitwise_right_shift.Tensor_Scalar bitwise_xor.Scalar bitwise_xor.Tensor ceil.default celu.default clamp.default
clamp.Tensor clamp_max.default clamp_max.Tensor clamp_min.default clamp_min.Tensor clip.default complex.default
copysign.Scalar copysign.Tensor cos.default cosh.default deg2rad.default div.Scalar div.Scalar_mode div.Tensor
div.Tensor_mode divide.Scalar divide.Tensor elu.default eq.Scalar eq.Tensor erf.default erfc.default erfinv.default
exp.default exp2.default expm1.default fix.default float_power.Tensor_Scalar floor.default floor_divide.default
floor_divide.Scalar fmax.default fmin.default fmod.Scalar fmod.Tensor frac.default ge.Scalar ge.Tensor gelu.default
glu.default greater.Scalar greater.Tensor greater_equal.Scalar greater_equal.Tensor gt.Scalar gt.Tensor
hardshrink.default hardsigmoid.default hardswish.default hardtanh.default heaviside.default hypot.default
isfinite.default isinf.default isnan.default isneginf.default isposinf.default ldexp.Tensor le.Scalar le.Tensor
leaky_relu.default lerp.Scalar lerp.Tensor less.Scalar less.Tensor less_equal.Scalar less_equal.Tensor lgamma.default
log.default log10.default log1p.default log2.default log_sigmoid.default logaddexp.default logaddexp2.default
logical_and.default logical_not.default logical_or.default logical_xor.default logit.default lt.Scalar lt.Tensor
masked_fill.Scalar masked_fill.Tensor max.other maximum.default min.other minimum.default mish.default mul.Scalar
mul.Tensor multiply.Scalar multiply.Tensor nan_to_num.default ne.Scalar ne.Tensor neg.default negative.default
not_equal.Scalar not_equal.Tensor polar.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prelu.default
rad2deg.default reciprocal.default relu.default relu6.default remainder.Scalar remainder.Scalar_Tensor
remainder.Tensor round.decimals round.default rsqrt.default rsub.Scalar rsub.Tensor selu.default sgn.default
sigmoid.default sign.default signbit.default silu.default sin.default sinc.default sinh.default softplus.default
softshrink.default special_expit.default sqrt.default square.default sub.Scalar sub.Tensor subtract.Scalar
subtract.Tensor tan.default tanh.default threshold.default tril.default triu.default true_divide.Scalar
true_divide.Tensor trunc.default where.Scalar where.ScalarOther where.ScalarSelf where.self xlogy.Tensor
digamma.default fake_quantize_per_channel_affine.default fake_quantize_per_tensor_affine.default float_power.Scalar
float_power.Tensor_Tensor frexp.Tensor i0.default igamma.default igammac.default isclose.default
nextafter.default polygamma.default special_bessel_j0.default special_bessel_j1.default
special_bessel_y0.default special_bessel_y1.default special_digamma.default special_entr.default special_erf.default
special_erfc.default special_erfcx.default special_erfinv.default special_exp2.default special_expm1.default
special_gammainc.default special_gammaincc.default special_gammaln.default special_i0.default special_i0e.default
special_i1.default special_i1e.default special_log1p.default special_log_ndtr.default special_logit.default
special_ndtr.default special_ndtri.default special_polygamma.default special_psi.default special_round.default
special_sinc.default special_xlog1py.default special_xlog1py.other_scalar special_xlog1py.self_scalar
special_xlogy.default special_xlogy.other_scalar special_xlogy.self_scalar special_zeta.default
special_zeta.other_scalar special_zeta.self_scalar xlogy.Scalar_Other xlogy.Scalar_Self
""".split()

_MOVEMENT = """
_to_copy.default as_strided_scatter.default block_diag.default bucketize.Tensor cat.default channel_shuffle.default
clone.default col2im.default column_stack.default concat.default concatenate.default copy.default diag.default
diag_embed.default diagonal_scatter.default diff.default expand_copy.default fill.Scalar fill.Tensor flip.default
fliplr.default flipud.default gather.default hstack.default im2col.default index.Tensor index_add.default
index_fill.int_Scalar index_put.default index_select.default lift_fresh_copy.default masked_scatter.default
native_channel_shuffle.default permute_copy.default pixel_shuffle.default pixel_unshuffle.default put.default
reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default replication_pad1d.default
replication_pad2d.default replication_pad3d.default roll.default rot90.default scatter.src scatter.value
scatter_add.default scatter_reduce.two searchsorted.Tensor select_copy.int select_scatter.default slice_copy.Tensor
slice_scatter.default squeeze_copy.dim stack.default take.default take_along_dim.default transpose_copy.int
tril_indices.default triu_indices.default unfold_copy.default unsqueeze_copy.default view_copy.default vstack.default
zero.default
diagonal_copy.default dstack.default fft_fftshift.default fft_ifftshift.default index_fill.int_Tensor
index_reduce.default scatter.reduce scatter.value_reduce
""".split()

_GROWING = """
_upsample_bicubic2d_aa.default _upsample_bicubic2d_aa.vec _upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec
_upsample_nearest_exact1d.default _upsample_nearest_exact1d.vec _upsample_nearest_exact2d.default
_upsample_nearest_exact2d.vec _upsample_nearest_exact3d.default _upsample_nearest_exact3d.vec constant_pad_nd.default
one_hot.default pad.default repeat.default repeat_interleave.self_int tile.default upsample_bicubic2d.default
upsample_bicubic2d.vec upsample_bilinear2d.default upsample_bilinear2d.vec upsample_linear1d.default
upsample_linear1d.vec upsample_nearest1d.default upsample_nearest1d.vec upsample_nearest2d.default
upsample_nearest2d.vec upsample_nearest3d.default upsample_nearest3d.vec upsample_trilinear3d.default
upsample_trilinear3d.vec linalg_vander.default max_unpool2d.default max_unpool3d.default
vander.default
""".split()
"""Their results are larger than their arguments, by sizes that stand in the graph."""

_FACTORY = """
arange.default arange.start arange.start_step empty.memory_format empty_like.default empty_permuted.default
eye.default eye.m fft_fftfreq.default fft_rfftfreq.default full.default full_like.default hann_window.default
hann_window.periodic linspace.default logspace.default new_empty.default new_full.default new_ones.default
new_zeros.default ones.default ones_like.default scalar_tensor.default zeros.default zeros_like.default
bartlett_window.default bartlett_window.periodic blackman_window.default blackman_window.periodic
hamming_window.default hamming_window.periodic hamming_window.periodic_alpha hamming_window.periodic_alpha_beta
kaiser_window.beta kaiser_window.default kaiser_window.periodic
""".split()

_REDUCTION = """
_is_all_true.default _log_softmax.default _softmax.default all.default all.dim all.dims amax.default amin.default
aminmax.default any.default any.dim any.dims argmax.default argmin.default argsort.default argsort.stable
binary_cross_entropy.default binary_cross_entropy_with_logits.default cosine_embedding_loss.default
cosine_similarity.default count_nonzero.default count_nonzero.dim_IntList cross_entropy_loss.default cummax.default
cummin.default cumprod.default cumsum.default cumulative_trapezoid.dx cumulative_trapezoid.x dist.default
gradient.array gradient.scalararray gradient.scalarint gradient.scalarrayarray gradient.scalarrayint
gradient.tensorarray gradient.tensorarrayint hinge_embedding_loss.default histc.default huber_loss.default
isin.Scalar_Tensor isin.Tensor_Scalar isin.Tensor_Tensor kl_div.default kthvalue.default l1_loss.default
linalg_norm.default linalg_vector_norm.default log_softmax.int logcumsumexp.default logsumexp.default
margin_ranking_loss.default max.default max.dim mean.default mean.dim median.default median.dim min.default min.dim
mode.default mse_loss.default msort.default nanmean.default nanmedian.default nanmedian.dim nanquantile.default
nanquantile.scalar nansum.default nll_loss_forward.default nll_loss_nd.default norm.Scalar norm.ScalarOpt_dim
pairwise_distance.default poisson_nll_loss.default prod.default prod.dim_int quantile.default quantile.scalar
smooth_l1_loss.default soft_margin_loss.default softmax.int sort.default sort.stable std.correction std.default
std.dim std_mean.correction std_mean.default std_mean.dim sum.default sum.dim_IntList topk.default trace.default
trapezoid.dx trapezoid.x triplet_margin_loss.default var.correction var.default var.dim var_mean.correction
var_mean.default var_mean.dim
""".split()

_NORM = """
_fused_rms_norm.default _native_batch_norm_legit.no_stats _native_batch_norm_legit_no_training.default
batch_norm.default group_norm.default instance_norm.default layer_norm.default linalg_cross.default
native_group_norm.default native_layer_norm.default renorm.default rms_norm.default
cross.default
""".split()

_POOL = """
_adaptive_avg_pool2d.default _adaptive_avg_pool3d.default adaptive_avg_pool1d.default adaptive_avg_pool2d.default
adaptive_avg_pool3d.default adaptive_max_pool1d.default adaptive_max_pool2d.default adaptive_max_pool3d.default
affine_grid_generator.default avg_pool1d.default avg_pool2d.default avg_pool3d.default grid_sampler.default
grid_sampler_2d.default grid_sampler_3d.default max_pool1d.default max_pool1d_with_indices.default max_pool2d.default
max_pool2d_with_indices.default max_pool3d.default max_pool3d_with_indices.default
""".split()

_UNCOUNTED = """
_fft_c2c.default _fft_c2r.default _fft_r2c.default cholesky.default cholesky_inverse.default cholesky_solve.default
det.default fft_fft.default fft_fft2.default fft_fftn.default fft_hfft.default fft_ifft.default fft_ifft2.default
fft_ifftn.default fft_ihfft.default fft_irfft.default fft_irfft2.default fft_irfftn.default fft_rfft.default
fft_rfft2.default fft_rfftn.default inverse.default istft.default linalg_cholesky.default linalg_cholesky_ex.default
linalg_cond.default linalg_cond.p_str linalg_det.default linalg_eig.default linalg_eigh.default linalg_eigvals.default
linalg_eigvalsh.default linalg_inv.default linalg_inv_ex.default linalg_lu.default linalg_lu_factor.default
linalg_lu_factor_ex.default linalg_matrix_exp.default linalg_matrix_norm.default linalg_matrix_norm.str_ord
linalg_matrix_power.default linalg_matrix_rank.atol_rtol_float linalg_matrix_rank.atol_rtol_tensor
linalg_matrix_rank.default linalg_pinv.atol_rtol_float linalg_pinv.atol_rtol_tensor linalg_pinv.default
linalg_qr.default linalg_slogdet.default linalg_solve.default linalg_solve_ex.default linalg_solve_triangular.default
linalg_svd.default linalg_svdvals.default linalg_tensorinv.default linalg_tensorsolve.default logdet.default
matrix_exp.default matrix_power.default nuclear_norm.default pinverse.default qr.default slogdet.default stft.center
stft.default svd.default triangular_solve.default
""".split()
"""Neither contractions of the table nor passes over the elements: said aloud, never counted as 0 in silence."""

_KEEPING_GAPS = frozenset(
    """
as_strided_scatter.default copy.default diagonal_scatter.default select_scatter.default slice_scatter.default
""".split()
)
_BINNED = ["histc.default"]
"""As many results as a number in the graph says."""
_EMBEDDING = ["embedding.default", "embedding_bag.padding_idx"]
_STATE = ["index_copy.default"]
_NEVER_CHEAP = frozenset(
    """
_softmax.default softmax.int _log_softmax.default log_softmax.int
""".split()
)
"""Reductions that are a layer's work, not arithmetic on positions."""

_CHEAP_KINDS = {Kind.VIEW, Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.FACTORY, Kind.REDUCTION}
_LISTED: tuple[tuple[Kind, Sequence[str]], ...] = (
    (Kind.VIEW, _VIEWS),
    (Kind.ELEMENTWISE, _ELEMENTWISE),
    (Kind.MOVEMENT, [*_MOVEMENT, *_GROWING]),
    (Kind.FACTORY, _FACTORY),
    (Kind.REDUCTION, [*_REDUCTION, *_UNCOUNTED]),
    (Kind.NORM, _NORM),
    (Kind.POOL, _POOL),
    (Kind.STATE, _STATE),
    (Kind.EMBEDDING, _EMBEDDING),
)


def _plain_row(name: str, kind: Kind) -> Operator:
    return Operator(
        name=f"aten.{name}",
        kind=kind,
        cheap=kind in _CHEAP_KINDS and name not in _NEVER_CHEAP and name not in _UNCOUNTED and "fft" not in name,
        uncounted=name in _UNCOUNTED,
        limit=name in {*_GROWING, *_BINNED}
        or (kind is Kind.FACTORY and "_like." not in name and name != "scalar_tensor.default"),
        keeps_gaps=name in _KEEPING_GAPS,
    )


def _contractions() -> list[Operator]:
    rows = dict(_CONTRACTIONS)
    rows |= dict.fromkeys(_PRODUCTS, (Kind.MATMUL, rules.matmul))
    rows |= dict.fromkeys(_ADDED_PRODUCTS, (Kind.MATMUL, rules.addmm))
    rows |= dict.fromkeys(_OUTER_PRODUCTS, (Kind.MATMUL, rules.outer))
    rows |= dict.fromkeys(_CONVOLUTIONS, (Kind.CONV, rules.convolution))
    rows |= dict.fromkeys(_TRANSPOSED_CONVOLUTIONS, (Kind.CONV, rules.transposed_convolution))
    rows |= dict.fromkeys(_RECURRENCES, (Kind.MATMUL, rules.recurrence))
    rows |= dict.fromkeys(_CELLS, (Kind.MATMUL, rules.cell))
    return [Operator(name=f"aten.{name}", kind=kind, macs=rule) for name, (kind, rule) in rows.items()]


ATEN: tuple[Operator, ...] = (
    *(_plain_row(name, kind) for kind, listed in _LISTED for name in listed),
    *_contractions(),
    Operator(name="partwise.experts.default", kind=Kind.EXPERTS, macs=rules.experts),
)
