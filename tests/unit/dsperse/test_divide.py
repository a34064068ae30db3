"""A segment divided by price: within the limit, the same integers, and an error for what cannot be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest

from circuit_models import chain, convolution, feed_forward, multilayer, run
from partwise.dsperse.atoms import Values, atoms_of
from partwise.dsperse.divide import Division, divide_model, fits
from partwise.errors import InfeasibleError
from partwise.profiling.proof_choice import choose_settings
from partwise.verification.zk.circuits import evaluate, lower

BITS, MB = 10, 10**6


def examples(*shape: int) -> list[Values]:
    random = np.random.default_rng(0)
    return [{"x": np.rint(random.normal(size=shape) * 2.0**BITS).astype(int).astype(object)} for _ in range(2)]


def divided(model: bytes, given: list[Values], peak: int) -> Division:
    return divide_model(model, {"x": BITS}, BITS, given, peak, {"y": "segment 3"})


def peaks(found: Division, given: list[Values]) -> list[float]:
    """Predicted, of each circuit."""
    atoms = atoms_of(found.model, {"x": BITS}, BITS, given)
    ends = [sum(len(group) for group in found.groups[:count]) for count in range(len(found.groups) + 1)]
    members = [name for atom in atoms.atoms for name in atom.members]
    place = {name: number for number, atom in enumerate(atoms.atoms) for name in atom.members}
    assert members == [name for group in found.groups for name in group], "each node once, in order"
    spans = [(place[members[first]], place[members[last - 1]] + 1) for first, last in pairwise(ends)]
    return [choose_settings(*atoms.work(*span), peak_bytes=120 * MB).cost.peak_bytes for span in spans]


def same_integers(model: bytes, found: Division, given: list[Values]) -> bool:
    whole, parts = (evaluate(lower(m, weight_bits=BITS, input_bits=BITS), given[0])["y"] for m in (model, found.model))
    return whole.tolist() == parts.tolist() == found.made[0]["y"].tolist()


def test_what_fits_stays_in_one() -> None:
    model, given = multilayer(), examples(1, 6)
    found = divided(model, given, 200 * MB)
    assert fits(atoms_of(model, {"x": BITS}, BITS, given), 200 * MB)
    assert found.model == model
    assert len(found.groups) == 1, "one circuit is cheaper than two"


def test_a_block_is_divided_until_each_circuit_keeps_the_limit() -> None:
    model, given = feed_forward(48, 192), examples(1, 48)
    found = divided(model, given, 120 * MB)
    assert len(found.groups) > 5
    assert max(peaks(found, given)) <= 120 * MB
    x = given[0]["x"].astype(float) / 2**BITS
    assert np.abs(run(found.model, x) - run(model, x)).max() < 1e-5
    made = np.array([int(v) / 2.0 ** found.digits["y"] for v in found.made[0]["y"].reshape(-1)])
    assert np.abs(made - run(model, x).reshape(-1)).max() < 0.02


def test_parts_of_products_have_the_very_same_integers() -> None:
    random = np.random.default_rng(1)
    weights = {"u": random.normal(size=(40, 300)) / 6, "c": random.normal(size=300), "v": random.normal(size=(300, 20))}
    nodes = [("MatMul", ["x", "u"], "a", {}), ("Add", ["a", "c"], "b", {}), ("Relu", ["b"], "r", {})]
    model = chain([1, 40], [*nodes, ("MatMul", ["r", "v"], "y", {})], weights)
    given = examples(1, 40)
    found = divided(model, given, 60 * MB)
    assert len(found.groups) > 2
    assert same_integers(model, found, given)
    names = [node.op_type for node in onnx.load_from_string(found.model).graph.node]
    assert names.count("MatMul") > 2
    assert names.count("Relu") == names.count("Add") > 1, "what follows element by element goes with its part"


def test_a_convolution_is_divided_by_its_channels() -> None:
    model, given = convolution(), examples(1, 2, 8, 8)
    found = divided(model, given, 45 * MB)
    assert len(found.groups) > 1
    assert same_integers(model, found, given)


def test_a_product_of_many_inputs_is_divided_along_them() -> None:
    """Where even one output needs more than the limit: partial sums of integers, each linked to the next."""
    random = np.random.default_rng(1)
    weights = {"u": random.normal(size=(16, 2000)) / 4, "v": random.normal(size=(4, 2000)) / 40, "b": np.ones(4) / 3}
    nodes = [("MatMul", ["x", "u"], "a", {}), ("Relu", ["a"], "r", {}), ("Gemm", ["r", "v", "b"], "y", {"transB": 1})]
    model, given = chain([1, 16], nodes, weights), examples(1, 16)
    found = divided(model, given, 100 * MB)
    assert same_integers(model, found, given)
    partial = [[name for name in group if name.startswith("y/inner")] for group in found.groups]
    assert len([names for names in partial if names]) > 1, "no circuit reads all inputs"
    x = given[0]["x"].astype(float) / 2**BITS
    assert np.abs(run(found.model, x) - run(model, x)).max() < 1e-4


def test_what_cannot_be_divided_so_far_is_named_with_its_need() -> None:
    model, given = feed_forward(48, 192), examples(1, 48)
    told = r"segment 3, `y/root`: needs more memory .* at most 50000000 bytes .* got at least \d+"
    with pytest.raises(InfeasibleError, match=told):
        divided(model, given, 50 * MB)


def moved(found: Division) -> list[list[str]]:
    """The groups whose nodes only take parts of values, or put parts together."""
    ops = {node.output[0]: node.op_type for node in onnx.load_from_string(found.model).graph.node}
    return [[*group] for group in found.groups if {ops[name] for name in group} <= {"Slice", "Concat"}]


def test_a_convolution_is_divided_by_rows_where_that_is_cheaper() -> None:
    """A large image and few channels: each part reads its rows and those that its windows reach over."""
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(2, 1, 3, 3)) / 3, "b": random.normal(size=2)}
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    model = chain([1, 1, 24, 24], [("Conv", ["x", "w", "b"], "c", attributes), ("Relu", ["c"], "y", {})], weights)
    given = examples(1, 1, 24, 24)
    found = divided(model, given, 100 * MB)
    assert same_integers(model, found, given)
    proto = onnx.load_from_string(found.model)
    reads = {node.output[0]: node.input[0] for node in proto.graph.node if node.op_type == "Conv"}
    assert len(reads) > 2
    assert "x" not in reads.values(), "no circuit reads the whole image"
    assert moved(found)[0][0].startswith("x/")
    assert moved(found)[-1] == ["y"], "nor does one give it whole"
    kept = [name for group in found.groups if [*group] not in moved(found) for name in group]
    assert set(reads) <= set(kept)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Relu", ["x"], "y", {})],
        [("MaxPool", ["x"], "y", {"kernel_shape": [2, 2], "strides": [2, 2]})],
        [("MaxPool", ["x"], "y", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
        [("Relu", ["x"], "r", {}), ("MaxPool", ["r"], "y", {"kernel_shape": [3, 3], "strides": [2, 2]})],
        [("Relu", ["x"], "r", {}), ("Add", ["r", "x"], "s", {}), ("AveragePool", ["s"], "y", {"kernel_shape": [2, 2]})],
    ],
)
def test_what_stands_at_the_head_is_divided_without_a_product_before_it(nodes: list[tuple]) -> None:
    model, given = chain([1, 4, 16, 16], nodes, {}), examples(1, 4, 16, 16)
    found = divided(model, given, 60 * MB)
    assert len(found.groups) - len(moved(found)) > 2
    assert same_integers(model, found, given)
    x = given[0]["x"].astype(float) / 2**BITS
    assert np.array_equal(run(found.model, x), run(model, x)), "bit for bit, before anything is rounded"


def test_a_product_whose_inputs_come_whole_is_divided_along_them() -> None:
    random = np.random.default_rng(1)
    weights = {"v": random.normal(size=(4, 2000)) / 40, "b": np.ones(4) / 3}
    model, given = chain([1, 2000], [("Gemm", ["x", "v", "b"], "y", {"transB": 1})], weights), examples(1, 2000)
    found = divided(model, given, 60 * MB)
    assert same_integers(model, found, given)
    products = [node for node in onnx.load_from_string(found.model).graph.node if node.op_type == "Gemm"]
    assert len(products) > 2
    assert all(node.input[0] != "x" for node in products)


def test_tokens_are_divided_where_a_product_has_several() -> None:
    """Rows of a block with a normalization: each part has all hidden elements of some tokens."""
    random = np.random.default_rng(2)
    weights = {"w": random.normal(size=(16, 16)) / 4, "g": np.ones(16), "s": np.zeros(16)}
    nodes = [("MatMul", ["x", "w"], "p", {}), ("LayerNormalization", ["p", "g", "s"], "y", {"epsilon": 1e-12})]
    model, given = chain([1, 8, 16], nodes, weights), examples(1, 8, 16)
    found = divided(model, given, 150 * MB)
    assert same_integers(model, found, given), "a normalization that is not divided itself rounds as before"
    ops = [node.op_type for node in onnx.load_from_string(found.model).graph.node]
    assert ops.count("LayerNormalization") > 1


def test_an_operator_is_divided_along_two_axes_where_one_is_not_enough() -> None:
    model, given = convolution(1), examples(1, 2, 8, 8)
    found = divided(model, given, 40 * MB)
    assert same_integers(model, found, given)
    assert any("/0/0" in name or "/0/1" in name for group in found.groups for name in group), "parts of parts"
