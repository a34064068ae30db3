"""Cases on torch: each a call without arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from partwise.calibration.cases import WIDTH_BETWEEN, Case, Prepared
from partwise.extras import require

__all__ = ["LAYS_OUT", "cold_launches", "conv_launches", "launches", "prepare", "set_threads"]

LAYS_OUT = True
"""Whether a convolution lays its argument and its result out anew: oneDNN's do, on blocks of channels."""
_CHANNELS, _SIDE = 16, 8
"""Of an image so small that only the launch of its convolution takes time."""


def set_threads(threads: int) -> None:
    """Of every operator from now on."""
    require("torch").set_num_threads(threads)


def prepare(case: Case, threads: int) -> Prepared:
    """The operator on random values."""
    del threads  # set for the whole process
    torch = require("torch")
    inputs = [torch.randn(shape) for shape in case.inputs]
    weights = [torch.randn(shape) for shape in case.weights]
    copies = [[weight.clone() for weight in weights] for _ in range(case.copies)]

    def call() -> object:
        result = None
        for held in copies:
            result = _call(torch, case, inputs, held)
        return result

    return Prepared(call, len(copies))


def launches(threads: int) -> Prepared:
    """An operator so small that only its launch takes time."""
    del threads
    torch = require("torch")
    x = torch.zeros(16)
    return Prepared(lambda: x + x, 1)


def cold_launches(threads: int) -> tuple[Prepared, Prepared]:
    """Small operators of many kinds, each after a product that took the core's cache for itself; the products alone."""
    del threads
    torch = require("torch")
    x = torch.randn(1, _CHANNELS, _SIDE, _SIDE)
    ones, zeros, width = torch.ones(_CHANNELS), torch.zeros(_CHANNELS), x.shape[-1:]
    functional, batch_norm = torch.nn.functional, torch.ops.aten._native_batch_norm_legit_no_training
    small: list[Callable[[], object]] = [
        lambda: x + x,
        lambda: torch.relu(x),
        lambda: functional.hardtanh(x, 0.0, 6.0),
        lambda: functional.gelu(x),
        lambda: batch_norm(x, ones, zeros, zeros, ones, 0.1, 1e-5),
        lambda: functional.layer_norm(x, width),
        lambda: functional.pad(x, (1, 1, 1, 1)),
        lambda: torch.softmax(x, -1),
        lambda: torch.cat([x, x], 1),
        lambda: x.transpose(2, 3).contiguous(),
    ]
    row, weights = torch.randn(1, WIDTH_BETWEEN), [torch.randn(WIDTH_BETWEEN, WIDTH_BETWEEN) for _ in small]

    def mixed() -> None:
        with torch.no_grad():
            for call, weight in zip(small, weights, strict=True):
                functional.linear(row, weight)
                call()

    def alone() -> None:
        with torch.no_grad():
            for weight in weights:
                functional.linear(row, weight)

    return Prepared(mixed, len(small)), Prepared(alone, len(small))


def conv_launches(threads: int) -> Prepared:
    """The same of a convolution: one of a channel at a time, which is oneDNN's however small."""
    del threads
    torch = require("torch")
    x, weight = torch.zeros(1, _CHANNELS, _SIDE, _SIDE), torch.zeros(_CHANNELS, 1, 3, 3)
    return Prepared(lambda: torch.conv2d(x, weight, None, 1, 1, 1, _CHANNELS), 1)


def _call(torch: Any, case: Case, inputs: list[Any], weights: list[Any]) -> object:
    functional = torch.nn.functional
    with torch.no_grad():
        match case.op:
            case "linear":
                return functional.linear(inputs[0], weights[0])
            case "conv":
                padding = case.weights[0][-1] // 2
                return functional.conv2d(inputs[0], weights[0], None, case.stride, padding, 1, case.groups)
            case "attention":
                return functional.scaled_dot_product_attention(*inputs)
            case "max_pool":
                return functional.max_pool2d(inputs[0], 3, 2, 1)
            case "softmax":
                return torch.softmax(inputs[0], -1)
            case "layer_norm":
                return functional.layer_norm(inputs[0], case.inputs[0][-1:])
            case "gelu":
                return functional.gelu(inputs[0])
            case _:
                return getattr(torch, case.op)(*inputs)
