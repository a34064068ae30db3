"""ONNX models for tests, each with a feature that cutting could get wrong. `CASES` names them all.

Written in ONNX's own text format where that is readable; weights are seeded noise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from partwise.extras import require

__all__ = ["CASES", "LIGHT", "light", "save"]

onnx = require("onnx")
TensorProto, helper, numpy_helper, parser = onnx.TensorProto, onnx.helper, onnx.numpy_helper, require("onnx.parser")
LIGHT = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
_HEAD = '<ir_version: 8, opset_import: ["": {opset}]>\n'


def save(model: Any, path: Path) -> Path:
    """Write a model file."""
    onnx.save(model, path)
    return path


def light(name: str, seed: int = 0) -> Any:
    """One of the onnx wheel's graphs at full size, its constant weights replaced by noise of the size of He's.

    Source of the scale: He et al., arXiv 1502.01852.
    """
    folder = Path(onnx.__file__).parent / "backend/test/data/light"
    model, noise = onnx.load(folder / f"light_{name}.onnx"), np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = [node for node in model.graph.node if node.op_type != "ConstantOfShape"]
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shape = [int(size) for size in shapes[node.input[0]]]
            value = noise.standard_normal(shape, dtype=np.float32) * np.sqrt(2 / max(1, np.prod(shape[1:])))
            value = np.abs(value) + 0.5 if len(shape) == 1 else value  # a variance is positive
            model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = 8
    return model


def _text(body: str, weights: dict[str, np.ndarray] | None = None, opset: int = 17) -> Any:
    model = parser.parse_model(_HEAD.format(opset=opset) + body)
    for name, value in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return model


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def conv_net() -> Any:
    """Convolutions whose channels are no multiple of a block, a skip, a pool; batch and image symbolic."""
    return _text(
        """g (float[N,3,H,W] x) => (float[N,10] y) {
            a = Conv <pads = [1,1,1,1]> (x, w1, b1)
            r = Relu (a)
            c = Conv <pads = [1,1,1,1]> (r, w2)
            s = Add (c, r)
            t = Relu (s)
            d = Conv <pads = [1,1,1,1], group = 24, strides = [2,2]> (t, w3)
            e = Conv <kernel_shape = [1,1]> (d, w4)
            p = GlobalAveragePool (e)
            f = Flatten (p)
            y = Gemm <transB = 1> (f, w5, b5)
        }""",
        {
            "w1": _noise(24, 3, 3, 3), "b1": _noise(24), "w2": _noise(24, 24, 3, 3) / 8, "w3": _noise(24, 1, 3, 3),
            "w4": _noise(20, 24, 1, 1), "w5": _noise(10, 20), "b5": _noise(10),
        },
    )  # fmt: skip


def transformer() -> Any:
    """One block over token ids: embedding, masked attention, GELU."""
    return _text(
        """g (int64[batch,seq] ids, int64[batch,seq] mask) => (float[batch,seq,16] y) {
            shape = Shape (ids)
            zero = Constant <value_ints = [0]> ()
            length = Constant <value_ints = [-1]> ()
            open = Cast <to = 1> (mask)
            one = Constant <value_float = 1.0> ()
            closed = Sub (one, open)
            low = Constant <value_float = -10000.0> ()
            bias = Mul (closed, low)
            axes = Constant <value_ints = [1]> ()
            wide = Unsqueeze (bias, axes)
            x = Gather (table, ids)
            q = MatMul (x, wq)
            k = MatMul (x, wk)
            v = MatMul (x, wv)
            kt = Transpose <perm = [0,2,1]> (k)
            qk = MatMul (q, kt)
            quarter = Constant <value_float = 0.25> ()
            scaled = Mul (qk, quarter)
            masked = Add (scaled, wide)
            p = Softmax <axis = -1> (masked)
            o = MatMul (p, v)
            h = Add (o, x)
            n = LayerNormalization (h, gain, shift)
            u = MatMul (n, wu)
            half = Constant <value_float = 0.5> ()
            root = Constant <value_float = 1.4142135> ()
            ur = Div (u, root)
            ue = Erf (ur)
            ue1 = Add (ue, one)
            um = Mul (u, ue1)
            ug = Mul (um, half)
            d = MatMul (ug, wd)
            y = Add (d, n)
        }""",
        {
            "table": _noise(40, 16), "wq": _noise(16, 16) / 4, "wk": _noise(16, 16, seed=1) / 4,
            "wv": _noise(16, 16, seed=2) / 4, "gain": _noise(16), "shift": _noise(16, seed=3),
            "wu": _noise(16, 64), "wd": _noise(64, 16),
        },
    )  # fmt: skip


def branches() -> Any:
    """If whose branches capture values and hold weights of their own, both under one name."""
    inner = [", ".join(f"{value:.4f}" for value in _noise(32, 32, seed=seed).reshape(-1)) for seed in (1, 2)]
    return _text(
        """g (float[n,32] x) => (float[n,32] y) {
            a = Relu (x)
            b = Add (a, shared)
            total = ReduceSum <keepdims = 0> (a)
            limit = Constant <value_float = 3.0> ()
            more = Greater (total, limit)
            z = If (more) <
                then_branch = t () => (float[n,32] then_out) <float[32,32] inner = {ONE}> {
                    m = MatMul (a, inner)
                    then_out = Add (m, shared)
                },
                else_branch = e () => (float[n,32] else_out) <float[32,32] inner = {OTHER}> {
                    k = MatMul (b, inner)
                    else_out = Relu (k)
                }
            >
            y = Add (z, a)
        }""".replace("ONE", inner[0]).replace("OTHER", inner[1]),
        {"shared": _noise(32)},
    )


def nested() -> Any:
    """A Loop of five trips around an If that reaches two graphs up, and a weight used only inside."""
    return _text(
        """g (float[n,32] x) => (float[n,32] y) {
            a = Tanh (x)
            trips = Constant <value_int = 5> ()
            yes = Constant <value = bool[1] {1}> ()
            axes0 = Constant <value_ints = [0]> ()
            go = Squeeze (yes, axes0)
            z = Loop (trips, go, a) <
                body = b (int64 i, bool c, float[n,32] s) => (bool c2, float[n,32] s2) {
                    c2 = Identity (c)
                    m = MatMul (s, only_inside)
                    two = Constant <value_int = 2> ()
                    rest = Mod (i, two)
                    none = Constant <value_int = 0> ()
                    even = Equal (rest, none)
                    s2 = If (even) <
                        then_branch = t () => (float[n,32] tout) { tout = Add (m, a) },
                        else_branch = e () => (float[n,32] eout) { eout = Sub (s, a) }
                    >
                }
            >
            w = Relu (z)
            y = Add (w, a)
        }""",
        {"only_inside": _noise(32, 32) / 8},
    )


def scan() -> Any:
    """A Scan over the sequence with state: a recurrent network written out."""
    return _text(
        """g (float[seq,n,8] x, float[n,8] s0) => (float[n,8] last, float[seq,n,8] all) {
            a = Tanh (x)
            last, stacked = Scan <
                num_scan_inputs = 1,
                body = b (float[n,8] s, float[n,8] xi) => (float[n,8] s2, float[n,8] o) {
                    m = MatMul (s, w)
                    p = Add (m, xi)
                    s2 = Tanh (p)
                    o = Identity (s2)
                }
            > (s0, a)
            all = Relu (stacked)
        }""",
        {"w": _noise(8, 8)},
    )


def functions() -> Any:
    """Local functions, one calling another."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "own": 1]>
        g (float[n,8] x) => (float[n,8] y) {
            a = own.block (x, w)
            b = own.block (a, w)
            y = Add (b, x)
        }
        <domain: "own", opset_import: ["": 17, "own": 1]>
        block (x, w) => (y) { m = MatMul (x, w)  y = own.act (m) }
        <domain: "own", opset_import: ["": 17]>
        act (x) => (y) { s = Sigmoid (x)  y = Mul (x, s) }
        """
    )
    model.graph.initializer.append(numpy_helper.from_array(_noise(8, 8), "w"))
    return model


def optional() -> Any:
    """Optional inputs left out in the middle (Clip, LSTM) and optional outputs left out at the front."""
    return _text(
        """g (float[seq,1,6] x) => (float[1,1,5] h, float[1,1,5] c, float[seq,1,6] y) {
            top = Constant <value_float = 0.8> ()
            z = Clip (x, , top)
            , hr, c = LSTM <hidden_size = 5> (z, w, r, , , h0)
            h = Relu (hr)
            y = Add (z, x)
        }""",
        {"w": _noise(1, 20, 6), "r": _noise(1, 20, 5), "h0": _noise(1, 1, 5)},
    )


def sequences() -> Any:
    """A sequence that every cut would have to carry, and one that leaves a Loop."""
    return _text(
        """g (float[4,8] x) => (float[m,8] y, float[4,8] z) {
            a = Relu (x)
            b = Tanh (x)
            s = SequenceConstruct (a, b)
            zero = Constant <value_int = 0> ()
            first = SequenceAt (s, zero)
            both = ConcatFromSequence <axis = 0> (s)
            four = Constant <value_int = 3> ()
            yes = Constant <value = bool[1] {1}> ()
            axes0 = Constant <value_ints = [0]> ()
            go = Squeeze (yes, axes0)
            empty = SequenceEmpty <dtype = 1> ()
            grown = Loop (four, go, empty) <
                body = body (int64 i, bool c, seq(float[4,8]) q) => (bool c2, seq(float[4,8]) q2) {
                    c2 = Identity (c)
                    q2 = SequenceInsert (q, first)
                }
            >
            rows = ConcatFromSequence <axis = 0> (grown)
            y = Concat <axis = 0> (both, rows)
            z = Add (first, b)
        }"""
    )


def quantized() -> Any:
    """QuantizeLinear and DequantizeLinear around a convolution and a product, weights in int8."""
    noise = np.random.default_rng(0)
    return _text(
        """g (float[n,4,8,8] x) => (float[n,6] y) {
            xq = QuantizeLinear (x, sx, zx)
            xd = DequantizeLinear (xq, sx, zx)
            wd = DequantizeLinear (wq, sw, zw)
            c = Conv <pads = [1,1,1,1]> (xd, wd)
            r = Relu (c)
            rq = QuantizeLinear (r, sx, zx)
            rd = DequantizeLinear (rq, sx, zx)
            p = GlobalAveragePool (rd)
            f = Flatten (p)
            vd = DequantizeLinear (vq, sw, zw)
            m = MatMul (f, vd)
            q = QuantizeLinear (m, sx, zx)
            y = DequantizeLinear (q, sx, zx)
        }""",
        {
            "sx": np.float32(0.05), "zx": np.uint8(100), "sw": np.float32(0.02), "zw": np.int8(0),
            "wq": noise.integers(-90, 90, (8, 4, 3, 3), dtype=np.int8),
            "vq": noise.integers(-90, 90, (8, 6), dtype=np.int8),
        },
    )  # fmt: skip


def shared() -> Any:
    """One initializer read by several nodes, and the same tied to input and output embeddings."""
    return _text(
        """g (int64[batch,seq] ids) => (float[batch,seq,30] logits) {
            x = Gather (table, ids)
            h = MatMul (x, w)
            a = Tanh (h)
            k = MatMul (a, w)
            turned = Transpose <perm = [1,0]> (table)
            logits = MatMul (k, turned)
        }""",
        {"table": _noise(30, 12), "w": _noise(12, 12)},
    )


def sizes_by_data() -> Any:
    """A size that only the data decide crosses the cuts."""
    return _text(
        """g (float[n,4] x) => (float[m] y, int64[1] howmany) {
            a = Tanh (x)
            zero = Constant <value_float = 0.0> ()
            positive = Greater (a, zero)
            found = Compress (a, flat)
            places = NonZero (positive)
            turned = Transpose <perm = [1,0]> (places)
            picked = GatherND (a, turned)
            y = Mul (picked, picked)
            howmany = Shape (y)
        }""",
        {"flat": np.array([True, False, True, True])},
    )


def passed_through() -> Any:
    """Results that no node computes: an input and a weight."""
    return _text("g (float[n,4] x) => (float[n,4] y, float[4] w, float[n,4] x) { y = Add (x, w) }", {"w": _noise(4)})


def half() -> Any:
    """float16 throughout, and a cast to float at the end."""
    return _text(
        """g (float16[n,16] x) => (float[n,16] y) {
            h = MatMul (x, w)
            r = Relu (h)
            k = MatMul (r, w)
            y = Cast <to = 1> (k)
        }""",
        {"w": _noise(16, 16).astype(np.float16)},
    )


def brain() -> Any:
    """bfloat16 between the nodes, which numpy does not know."""
    return _text(
        """g (float[n,16] x) => (float[n,16] y, bfloat16[n,16] z) {
            b = Cast <to = 16> (x)
            w = Cast <to = 1> (narrow)
            f = Cast <to = 1> (b)
            y = Add (f, w)
            z = Cast <to = 16> (y)
        }""",
        {"narrow": _noise(16).astype(ml_dtypes.bfloat16)},
    )


def four_bits() -> Any:
    """A weight of 4-bit integers, dequantized a block at a time."""
    model = _text(
        """g (float[n,16] x) => (float[n,8] y) {
            w = DequantizeLinear <axis = 0, block_size = 8> (packed, scales)
            h = MatMul (x, w)
            y = Tanh (h)
        }""",
        {"scales": np.abs(_noise(2, 8))},
        opset=21,
    )
    values = np.random.default_rng(0).integers(-8, 8, 128).tolist()
    model.graph.initializer.append(helper.make_tensor("packed", TensorProto.INT4, [16, 8], values))
    model.ir_version = 10
    return model


def recurrent() -> Any:
    """GRU, einsum and a transposed convolution."""
    return _text(
        """g (float[seq,n,6] x) => (float[n,4,m] y) {
            states, last = GRU <hidden_size = 5> (x, w, r)
            axes1 = Constant <value_ints = [1]> ()
            flat = Squeeze (states, axes1)
            mixed = Einsum <equation = "snh,hk->nks"> (flat, mix)
            y = ConvTranspose <strides = [2]> (mixed, up)
        }""",
        {"w": _noise(1, 15, 6), "r": _noise(1, 15, 5), "mix": _noise(5, 7), "up": _noise(7, 4, 3)},
    )


CASES: dict[str, Callable[[], Any]] = {
    function.__name__: function
    for function in (
        conv_net, transformer, branches, nested, scan, functions, optional, sequences, quantized, shared,
        sizes_by_data, passed_through, half, brain, four_bits, recurrent,
    )
}  # fmt: skip
