"""Dimension names of a file as symbols of the graph."""

from __future__ import annotations

import numpy as np
import pytest

from partwise.frontends.onnx.examples import inputs_text
from partwise.frontends.onnx.symbols import Sizes, read_sizes
from partwise.frontends.source import CaptureOptions
from partwise.ir import DType


def _read(*inputs: tuple[str, DType, list[int | str] | None], options: CaptureOptions | None = None) -> Sizes:
    return read_sizes(inputs, options or CaptureOptions())


@pytest.mark.parametrize(
    ("batch", "length"), [("batch_size", "seq_len"), ("N", "sequence_length"), ("s77", "s12"), ("", "")]
)
def test_batch_and_sequence_are_found_in_any_spelling(batch: str, length: str) -> None:
    sizes = _read(("ids", DType.INT64, [batch, length]), ("mask", DType.INT64, [batch, length]))
    assert sizes.inputs == {"ids": ("batch", "sequence"), "mask": ("batch", "sequence")}
    assert {name: (symbol.input, symbol.dim) for name, symbol in sizes.symbols.items()} == {
        "batch": ("ids", 0),
        "sequence": ("ids", 1),
    }


def test_other_names_are_kept_as_identifiers() -> None:
    sizes = _read(("x", DType.FLOAT32, ["batch", "num channels", "2nd", "class"]))
    assert sizes.inputs["x"] == ("batch", "num_channels", "size_2nd", "size_class")


def test_two_names_never_become_one_symbol() -> None:
    sizes = _read(("a", DType.FLOAT32, ["N", 4]), ("b", DType.FLOAT32, ["batch", 4]))
    assert sizes.inputs == {"a": ("batch", 4), "b": ("b_0", 4)}


def test_nameless_dims_of_unlike_examples_are_apart() -> None:
    inputs = [("a", DType.FLOAT32, ["", 4]), ("b", DType.FLOAT32, ["", 4])]
    alike, unlike = ({"a": np.zeros((3, 4)), "b": np.zeros((size, 4))} for size in (3, 5))
    assert _read(*inputs, options=CaptureOptions(example_inputs=alike)).inputs["b"] == ("batch", 4)
    sizes = _read(*inputs, options=CaptureOptions(example_inputs=unlike))
    assert sizes.inputs == {"a": ("batch", 4), "b": ("b_0", 4)}
    assert [symbol.hint for symbol in sizes.symbols.values()] == [3, 5]


def test_two_numbers_of_torch_are_two_symbols() -> None:
    sizes = _read(("a", DType.FLOAT32, ["s0", 4]), ("b", DType.FLOAT32, ["s1", 4]), ("c", DType.FLOAT32, ["s0", 4]))
    assert sizes.inputs == {"a": ("batch", 4), "b": ("b_0", 4), "c": ("batch", 4)}


def test_nameless_dims_beyond_batch_are_apart() -> None:
    sizes = _read(("x", DType.FLOAT32, ["", 3, "", ""]))
    assert sizes.inputs["x"] == ("batch", 3, "x_2", "x_3")


def test_an_input_may_have_an_expression_of_other_sizes() -> None:
    sizes = _read(("ids", DType.INT64, ["batch", "seq"]), ("mask", DType.INT64, ["batch", "seq + 1"]))
    assert sizes.inputs["mask"] == ("batch", "sequence + 1")
    assert sizes.translate("Min(64, seq)") == "min(64, sequence)"
    assert sizes.translate("2*seq") == "2*sequence"
    assert sizes.translate("unk__3") is None
    assert sizes.translate("floor(seq/2)") is None


def test_hints_come_from_options_examples_and_a_former_capture() -> None:
    inputs = [("x", DType.FLOAT32, ["batch", 3, "H", "W"]), ("ids", DType.INT64, ["batch", "seq"])]
    sizes = _read(*inputs, options=CaptureOptions(batch=4, sequence=7, image_size=64))
    assert {name: symbol.hint for name, symbol in sizes.symbols.items()} == {
        "batch": 4,
        "H": 64,
        "W": 64,
        "sequence": 7,
    }
    given = CaptureOptions(example_inputs={"x": np.zeros((2, 3, 32, 48))})
    assert {s.name: s.hint for s in _read(*inputs, options=given).symbols.values()}["W"] == 48
    text = inputs_text(sizes.specs, {"batch": 9, "H": 32, "W": 48, "sequence": 5})
    assert text == "x=float32[9,3,32,48] ids=int64[9,5]"
    again = _read(*inputs, options=CaptureOptions(inputs=text))
    assert {name: s.hint for name, s in again.symbols.items()} == {"batch": 9, "H": 32, "W": 48, "sequence": 5}


def test_an_unknown_rank_has_no_shape() -> None:
    sizes = _read(("x", DType.FLOAT32, None))
    assert sizes.specs["x"].shape is None
