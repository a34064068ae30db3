"""Arguments that make a kernel read or show memory which is not its own: refused before the kernel sees them.

Without the guards most of these calls end the process, which is what the test would then report.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from partwise.errors import EngineError
from partwise.ir import DType, Format, Graph, Node, Output, Ref, TensorSpec
from partwise.packaging import Segment
from partwise.runtime.engines import make_engine


def run(op: str, arguments: list[Any], keywords: dict[str, Any] | None = None, outputs: int = 1) -> np.ndarray:
    """An operator as a segment; arrays become its inputs. Its first result."""
    inputs = dict[str, np.ndarray]()

    def said(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            inputs[name := f"x{len(inputs)}"] = value
            return Ref(name)
        return tuple(map(said, value)) if isinstance(value, list) else value

    args = tuple(said(value) for value in arguments)
    kwargs = tuple((name, said(value)) for name, value in sorted((keywords or {}).items()))
    results = tuple(f"y{number}" for number in range(outputs))
    specs = [TensorSpec(name=name, dtype=DType(value.dtype.name), shape=value.shape) for name, value in inputs.items()]
    specs += [TensorSpec(name=name, dtype=DType.FLOAT32, shape=None) for name in results]
    graph = Graph(
        format=Format.TORCH, name="g", settings=(), symbols=(), inputs=tuple(inputs), weights=(),
        outputs=(Output(name="y", tensor="y0"),), tensors=tuple(specs),
        nodes=(Node(op=op, args=args, kwargs=kwargs, outputs=results),),
    )  # fmt: skip
    segment = Segment(name="segment 0", format=Format.TORCH, graph=b"", weights={}, ir=graph)
    return make_engine("torch", 1).load(segment).run(inputs, {})["y0"]


def o(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def i(*values: int) -> np.ndarray:
    return np.array(values)


BAGS = [False, 0, False, None, False, None]
LSTM = [True, 1, 0.0, False, False, False]
LSTM_WEIGHTS = [o(20, 4), o(20, 5), o(20), o(20)]
HONEST: dict[str, tuple[str, list[Any], int]] = {
    "attention": ("aten.scaled_dot_product_attention.default", [o(1, 2, 4, 8), o(1, 2, 6, 8), o(1, 2, 6, 3)], 1),
    "batch norm": (
        "aten._native_batch_norm_legit_no_training.default",
        [o(2, 4, 3), o(4), None, o(4), o(4), 0.1, 1e-5],
        3,
    ),
    "batch norm without statistics": (
        "aten._native_batch_norm_legit.no_stats",
        [o(2, 4, 3), None, o(4), True, 0.1, 1e-5],
        3,
    ),
    "weight norm": ("aten._weight_norm.default", [o(4, 3), o(4, 1), 0], 1),
    "weight norm of the last dim": ("aten._weight_norm.default", [o(4, 3), o(1, 3), 1], 1),
    "embedding bags": ("aten.embedding_bag.padding_idx", [o(4, 3), i(1, 2, 3), i(0, 0, 2), *BAGS], 4),
    "one embedding bag": ("aten.embedding_bag.padding_idx", [o(4, 3), i(1, 2), i(0), *BAGS], 4),
    "grid": ("aten.grid_sampler_2d.default", [o(1, 1, 4, 4), o(1, 2, 2, 2), 2, 2, True], 1),
    "lstm": ("aten.lstm.input", [o(3, 2, 4), [o(1, 2, 5), o(1, 2, 5)], LSTM_WEIGHTS, *LSTM], 3),
    "lstm of two layers and ways": (
        "aten.lstm.input",
        [o(2, 3, 4), [o(4, 2, 5), o(4, 2, 5)], [*[o(20, 4), o(20, 5)] * 2, *[o(20, 10), o(20, 5)] * 2],
         False, 2, 0.0, False, True, True],
        3,
    ),
    "lstm that projects": (
        "aten.lstm.input",
        [o(3, 2, 4), [o(1, 2, 2), o(1, 2, 5)], [o(20, 4), o(20, 2), o(20), o(20), o(2, 5)], *LSTM],
        3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_calls_give_what_torch_gives(name: str) -> None:
    op, arguments, outputs = HONEST[name]
    namespace, operator, overload = op.split(".")
    target = getattr(getattr(getattr(torch.ops, namespace), operator), overload)

    def tensors(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return torch.from_numpy(value)
        return list(map(tensors, value)) if isinstance(value, list) else value

    with torch.no_grad():
        expected = target(*map(tensors, arguments))
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert run(op, arguments, outputs=outputs).tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("mode", ["trunc", "floor", None])
def test_the_lowest_number_and_minus_one_apart(mode: str | None) -> None:
    found = run("aten.div.Tensor_mode", [i(-(2**63), 3), i(2, -1)], {"rounding_mode": mode})
    assert found.tolist() == [-(2**62), -3]


LIES: dict[str, tuple[str, list[Any], dict[str, Any], int]] = {
    "fewer keys than values": (
        "aten.scaled_dot_product_attention.default", [o(1, 1, 4, 8), o(1, 1, 4, 8), o(1, 1, 4_000_000, 8)], {}, 1,
    ),
    "the same by keyword": (
        "aten.scaled_dot_product_attention.default", [o(1, 1, 4, 8)],
        {"value": o(1, 1, 4_000_000, 8), "key": o(1, 1, 4, 8)}, 1,
    ),
    "statistics of fewer channels": (
        "aten._native_batch_norm_legit_no_training.default",
        [o(2, 400_000, 1), None, None, o(1), o(1), 0.1, 1e-5], {}, 3,
    ),
    "weights of fewer channels": (
        "aten._native_batch_norm_legit_no_training.default",
        [o(2, 400_000, 1)], {"weight": o(1), "bias": o(1), "running_mean": o(400_000), "running_var": o(400_000),
                             "momentum": 0.1, "eps": 1e-5}, 3,
    ),
    "weights of fewer channels, no statistics": (
        "aten._native_batch_norm_legit.no_stats", [o(2, 400_000, 1), o(1), o(1), True, 0.1, 1e-5], {}, 3,
    ),
    "fewer lengths": ("aten._weight_norm.default", [o(400_000, 3), o(1, 1), 0], {}, 1),
    "fewer lengths of the last dim": ("aten._weight_norm.default", [o(3, 400_000), o(1, 1), 1], {}, 1),
    "lengths of no dim": ("aten._weight_norm.default", [o(4, 3), o(4, 1), -7], {}, 1),
    "the lowest number by -1": (
        "aten.div.Tensor_mode", [i(-(2**63), 3), i(-1, 1)], {"rounding_mode": "trunc"}, 1,
    ),
    "the lowest number by -1, a literal": (
        "aten.div.Scalar_mode", [i(-(2**63)), -1], {"rounding_mode": "trunc"}, 1,
    ),
    "bags that go back": (
        "aten.embedding_bag.padding_idx", [o(4, 3), i(1, 2, 3), i(0, 2, 1), *BAGS], {}, 4,
    ),
    **{
        f"{op}, modes {modes}": (f"aten.{op}.default", [x, grid, *modes, False], {}, 1)
        for op, x, grid in (
            ("grid_sampler", o(1, 1, 4, 4), o(1, 2, 2, 2)), ("grid_sampler_2d", o(1, 1, 4, 4), o(1, 2, 2, 2)),
            ("grid_sampler_3d", o(1, 1, 4, 4, 4), o(1, 2, 2, 2, 3)),
        )
        for modes in ([0, 7], [9, 0], [-1, 0], [0, -1])
    },
    "states of fewer rows": (
        "aten.lstm.input", [o(3, 200_000, 4), [o(1, 1, 5), o(1, 1, 5)], LSTM_WEIGHTS, *LSTM], {}, 3,
    ),
    "states wider than the weights": (
        "aten.lstm.input",
        [o(3, 1, 4), [o(1, 1, 500), o(1, 1, 500)], [o(2000, 4), o(2000, 5), o(2000), o(2000)], *LSTM], {}, 3,
    ),
    "one state": ("aten.lstm.input", [o(3, 1, 4), [o(1, 1, 5)], LSTM_WEIGHTS, *LSTM], {}, 3),
    "fewer weights": ("aten.lstm.input", [o(3, 1, 4), [o(1, 1, 5), o(1, 1, 5)], LSTM_WEIGHTS[:1], *LSTM], {}, 3),
    "more layers than weights": (
        "aten.lstm.input",
        [o(3, 1, 4), [o(9, 1, 5), o(9, 1, 5)], LSTM_WEIGHTS, True, 9, 0.0, False, False, False], {}, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lying_arguments_are_refused(name: str) -> None:
    op, arguments, keywords, outputs = LIES[name]
    with pytest.raises(EngineError, match="do not fit each other"):
        run(op, arguments, keywords, outputs)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("aten.empty.memory_format", [[1000]]),
        ("aten.empty_like.default", [o(1000)]),
        ("aten.new_empty.default", [o(1), [1000]]),
        ("aten.empty_permuted.default", [[10, 100], [1, 0]]),
    ],
)
def test_memory_that_nobody_wrote_is_not_shown(op: str, arguments: list[Any]) -> None:
    used = [torch.full((1000,), 7.0) for _ in range(64)]  # what a request before this one has left
    del used
    assert not run(op, arguments).any()
