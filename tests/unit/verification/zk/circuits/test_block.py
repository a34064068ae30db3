"""Exact divisions, Gelu, LayerNormalization, a feed-forward block: integers against onnxruntime, and their limits."""

from __future__ import annotations

from math import sqrt

import numpy as np
import onnx
import onnx.utils
import pytest

from circuit_models import chain, feed_forward, run
from partwise.errors import InputError, UnsupportedOpError
from partwise.verification.zk.circuits import bounds, evaluate, exact, lower
from partwise.verification.zk.circuits.division import floored, rounded
from partwise.verification.zk.circuits.drawing import Circuit, CircuitPort, Value
from partwise.verification.zk.circuits.exact_rules import Big
from partwise.verification.zk.circuits.gelu import gap_table
from partwise.verification.zk.circuits.split import split_operator, unshare_joins
from partwise.verification.zk.circuits.split_hidden import split_hidden
from partwise.verification.zk.circuits.split_inner import split_inner
from partwise.verification.zk.circuits.split_norm import split_norm
from partwise.verification.zk.circuits.step import Precision, Sheet

BITS = 10
SCALED, ERF, RAISED = ("Div", ["x", "root"], "s", {}), ("Erf", ["s"], "e", {}), ("Add", ["e", "one"], "r", {})
GELUS = {
    "doubled, then halved": [("Mul", ["x", "r"], "m", {}), ("Mul", ["m", "half"], "y", {})],
    "halved, then multiplied": [("Mul", ["r", "half"], "m", {}), ("Mul", ["x", "m"], "y", {})],
    "half of x": [("Mul", ["x", "half"], "h", {}), ("Mul", ["h", "r"], "y", {})],
    "divided by two": [("Mul", ["x", "r"], "m", {}), ("Div", ["m", "two"], "y", {})],
}
NUMBERS = {"root": np.array(sqrt(2)), "one": np.array(1.0), "half": np.array(0.5), "two": np.array(2.0)}


def norm(width: int = 48, seed: int = 0) -> bytes:
    random = np.random.default_rng(seed)
    weights = {"g": random.normal(1, 0.2, width), "b": random.normal(size=width)}
    return chain([1, width], [("LayerNormalization", ["x", "g", "b"], "y", {"epsilon": 1e-12})], weights)


def real(circuit: Circuit, x: np.ndarray, bits: int = BITS) -> np.ndarray:
    found = evaluate(circuit, {"x": np.rint(x * 2.0**bits).astype(int)})["y"]
    return np.array([int(v) / 2.0 ** circuit.outputs[0].bits for v in found.reshape(-1)])


def divided(places: int, bits: int | None = None) -> Circuit:
    """x [64] divided by 2^places, rounded down or to so many digits."""
    sheet = Sheet(digits=0, constants={}, shapes={})
    value = Value("x", (64,), places)
    made = floored(sheet, value, places) if bits is None else rounded(sheet, value, bits)
    return sheet.drawing.finish([CircuitPort(name="x", shape=(64,), bits=places)], [("y", made)], "division")


@pytest.mark.parametrize("places", [1, 5, 30])
def test_a_division_is_exact(places: int) -> None:
    random = np.random.default_rng(places)
    x = np.concatenate([random.integers(-(2**40), 2**40, 56), np.array([0, 1, -1, 2, -2, 2**places, -(2**places), 3])])
    found = evaluate(divided(places), {"x": x})["y"]
    assert found.tolist() == [int(v) >> places for v in x]
    nearest = evaluate(divided(places, places - 1), {"x": x})["y"]
    assert nearest.tolist() == [(int(v) + 1) >> 1 for v in x]


def test_the_other_quotient_that_a_prover_may_take_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that ties a quotient to x is |x − q·2^s| < 2^s; both neighbours fulfil it, and both give the same."""
    x, places = np.random.default_rng(0).integers(-5000, 5000, 64), 7

    def below(value: Big, by: int) -> Big:
        return value >> by

    def above(value: Big, by: int) -> Big:
        return -(-value >> by)

    for quotient in (below, above):
        assert all(abs(int(v) - int(q) * 128) < 128 for v, q in zip(x, quotient(x, places), strict=True))
        monkeypatch.setattr(exact, "divided", lambda value, by, rule=quotient: rule(value, by))
        assert evaluate(divided(places), {"x": x})["y"].tolist() == [int(v) >> places for v in x]


def test_what_a_division_splits_into_digits_is_bounded() -> None:
    reach = bounds(divided(5), {"x": 1000})
    for x in (-1000, 999, 31):
        assert bounds(divided(5), {"x": np.full(64, x)}, spread=False) <= reach


@pytest.mark.parametrize("order", GELUS)
def test_a_written_out_gelu_is_found_and_near(order: str) -> None:
    model = chain([1, 96], [SCALED, ERF, RAISED, *GELUS[order]], NUMBERS)
    x = np.concatenate([np.linspace(-5, 5, 90), [-60, -12, 0, 0.001, 12, 60]])[None]
    circuit = lower(model, weight_bits=BITS, input_bits=BITS)
    assert "Erf" not in [node.op_type for node in onnx.load_from_string(circuit.model).graph.node]
    assert np.abs(real(circuit, x) - run(model, x).reshape(-1)).max() < 2**-9
    assert circuit.outputs[0].bits == BITS, "a Gelu takes no digits"


def test_a_finer_table_needs_more_rows_than_there_are() -> None:
    """A last row that is not small: what lies beyond it is held to it."""
    assert gap_table(8)[-1] < 2e-4 / 2
    assert gap_table(10)[-1] > 0.1 / 2


def test_an_erf_that_is_no_gelu_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="Erf is not exact on integers"):
        lower(chain([1, 4], [SCALED, ("Erf", ["s"], "y", {})], NUMBERS))
    with pytest.raises(UnsupportedOpError, match="Erf is not exact on integers"):
        lower(chain([1, 4], [SCALED, ERF, ("Add", ["e", "two"], "r", {}), *GELUS["half of x"]], NUMBERS))


@pytest.mark.parametrize("deviation", [0.5, 1, 4, 11])
def test_a_normalization_is_near(deviation: float) -> None:
    model, x = norm(), np.random.default_rng(1).normal(0.3, 1, (1, 48))
    x *= deviation / x.std()
    found = real(lower(model, weight_bits=BITS, input_bits=12), x, 12)
    assert np.abs(found - run(model, x).reshape(-1)).max() < 4e-3


@pytest.mark.parametrize("deviation", [0.2, 20])
def test_a_deviation_out_of_the_table_cannot_be_proved(deviation: float) -> None:
    x = np.random.default_rng(1).normal(size=(1, 48))
    with pytest.raises(InputError, match="has no such row"):
        real(lower(norm(), input_bits=12), x * deviation / x.std(), 12)


def test_a_normalization_takes_the_deviations_that_it_is_told() -> None:
    model, x = norm(), np.random.default_rng(1).normal(size=(1, 48)) * 100
    circuit = lower(model, weight_bits=BITS, input_bits=BITS, precision=Precision(deviation=300))
    assert np.abs(real(circuit, x) - run(model, x).reshape(-1)).max() < 4e-3


@pytest.mark.parametrize("deviation", [0.5, 1, 4, 11])
def test_a_normalization_in_two_is_near(deviation: float) -> None:
    split, x = split_norm(norm(), "y"), np.random.default_rng(1).normal(0.3, 1, (1, 48))
    x *= deviation / x.std()
    assert np.abs(run(split, x) - run(norm(), x)).max() < 1e-6
    found = real(lower(split, weight_bits=BITS, input_bits=12), x, 12)
    assert np.abs(found - run(norm(), x).reshape(-1)).max() < 4e-3


@pytest.mark.parametrize("opset", [17, 18])
def test_the_two_halves_are_segments_of_their_own(opset: int) -> None:
    """1/σ crosses as an integer; the half that takes it has no table."""
    model = onnx.load_from_string(norm())
    model.opset_import[0].version = opset
    proto = onnx.load_from_string(split_norm(model.SerializeToString(), "y"))
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("y/root", onnx.TensorProto.FLOAT, [1, 1]))
    halves = onnx.utils.Extractor(proto)
    first, second = halves.extract_model(["x"], ["y/root"]), halves.extract_model(["x", "y/root"], ["y"])
    x = {"x": np.rint(np.random.default_rng(1).normal(size=(1, 48)) * 4096).astype(int)}
    root = lower(first.SerializeToString(), weight_bits=BITS, input_bits=12)
    found = evaluate(root, x)
    digits = {"x": 12, "y/root": root.outputs[0].bits}
    applied = lower(second.SerializeToString(), weight_bits=BITS, input_bits=digits)
    whole = lower(proto.SerializeToString(), weight_bits=BITS, input_bits=12)
    assert evaluate(applied, x | found)["y"].tolist() == evaluate(whole, x)["y"].tolist()
    kinds = [node.op_type for node in onnx.load_from_string(applied.model).graph.node]
    assert "Gather" not in kinds
    assert float(found["y/root"][0, 0]) / 2.0 ** digits["y/root"] == pytest.approx(1 / x["x"].std() * 4096, rel=1e-3)


def test_a_normalization_that_gives_its_deviation_is_not_split() -> None:
    model = onnx.load_from_string(norm())
    model.graph.node[0].output.extend(["", "deviation"])
    with pytest.raises(UnsupportedOpError, match="gives its mean or deviation"):
        split_norm(model.SerializeToString(), "y")
    with pytest.raises(UnsupportedOpError, match="no normalization of the last dim"):
        split_norm(feed_forward(), "up")


def test_a_product_takes_what_follows_element_by_element_with_it() -> None:
    split = unshare_joins(split_operator(split_operator(feed_forward(), "up", 3), "down", 2))
    x = np.random.default_rng(2).normal(size=(1, 8))
    assert np.abs(run(split, x) - run(feed_forward(), x)).max() < 1e-6
    given = {"x": np.rint(x * 2**BITS).astype(int)}
    whole, parts = (evaluate(lower(m, weight_bits=BITS, input_bits=BITS), given)["y"] for m in (feed_forward(), split))
    assert whole.tolist() == parts.tolist()
    nodes = onnx.load_from_string(split).graph.node
    assert [node.output[0] for node in nodes if node.op_type == "Erf"] == ["e/0", "e/1", "e/2"]
    joins = [node for node in nodes if node.op_type == "Concat" and list(node.input) == ["g/0", "g/1", "g/2"]]
    assert len(joins) == 2, "each part of the second product puts its input together itself"


def test_partial_products_add_up_to_the_same_integers() -> None:
    split = split_inner(split_operator(feed_forward(), "up", 3), "down")
    x = np.random.default_rng(2).normal(size=(1, 8))
    assert np.abs(run(split, x) - run(feed_forward(), x)).max() < 1e-6
    given = {"x": np.rint(x * 2**BITS).astype(int)}
    whole, parts = (evaluate(lower(m, weight_bits=BITS, input_bits=BITS), given)["y"] for m in (feed_forward(), split))
    assert whole.tolist() == parts.tolist()
    nodes = onnx.load_from_string(split).graph.node
    assert "Concat" not in [node.op_type for node in nodes], "nothing reads the parts put together any more"
    assert [node.input[0] for node in nodes if node.name.startswith("down/inner")] == ["g/0", "g/1", "g/2"]
    with pytest.raises(UnsupportedOpError, match="does not read parts put together"):
        split_inner(feed_forward(), "down")
    with pytest.raises(UnsupportedOpError, match="no plain product"):
        split_inner(feed_forward(), "y")


def test_a_split_hidden_dim_gives_the_same_integers() -> None:
    model = feed_forward()
    split = split_hidden(model, "up", "down", 3)
    x = np.random.default_rng(2).normal(size=(1, 8))
    assert np.abs(run(split, x) - run(model, x)).max() < 1e-6, "the order of a sum of floats"
    given = {"x": np.rint(x * 2**BITS).astype(int)}
    whole, parts = (evaluate(lower(m, weight_bits=BITS, input_bits=BITS), given)["y"] for m in (model, split))
    assert whole.tolist() == parts.tolist()
    names = [node.output[0] for node in onnx.load_from_string(split).graph.node]
    assert [name for name in names if "sum" in name] == ["down/sum/0", "down/sum/1"]


def test_a_hidden_dim_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(InputError, match="2 to 16 parts"):
        split_hidden(feed_forward(), "up", "down", 17)
    with pytest.raises(UnsupportedOpError, match="is not computed for each hidden element"):
        split_hidden(feed_forward(between="Softmax"), "up", "down", 2)
    with pytest.raises(UnsupportedOpError, match="is no product"):
        split_hidden(feed_forward(), "up", "y", 2)
