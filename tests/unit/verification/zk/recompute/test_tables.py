"""Tables and normalizations recomputed by the second prover."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from circuit_models import feed_forward
from partwise.verification.zk import CircuitSettings, make_prover
from partwise.verification.zk.circuits import evaluate, lower
from partwise.verification.zk.field import MODULUS
from partwise.verification.zk.prover import Sizes
from partwise.verification.zk.recompute.program import compute, read_program


def test_a_feed_forward_block_is_proved_and_checked(tmp_path: Path) -> None:
    prover, segment = make_prover("recompute"), tmp_path / "block.onnx"
    segment.write_bytes(feed_forward())
    circuit = prover.setup(segment, CircuitSettings(scale=10), [], tmp_path, "segment 0")
    x = np.rint(np.random.default_rng(0).normal(size=8) * 1024).astype(int)
    given = (tuple(int(v) for v in x),)
    outputs = prover.witness(circuit, tmp_path, given, tmp_path / "witness", "segment 0")
    drawn = lower(feed_forward(), weight_bits=10, input_bits=10, output_bits=10, shifts=True)
    assert list(outputs[0]) == [int(v) for v in evaluate(drawn, {"x": x})["y"].reshape(-1)]
    prover.prove(circuit, tmp_path, tmp_path / "witness", tmp_path / "proof", "segment 0")
    keys = {key.name: tmp_path / key.name for key in circuit.keys}
    found = prover.check(keys, Sizes(inputs=(8,), outputs=(8,)), (tmp_path / "proof").read_bytes(), "segment 0")
    assert found.boundary is not None, found.refused


def test_a_table_gives_nothing_for_a_row_that_it_lacks() -> None:
    """A prover commits to any index that it likes; what is recomputed from it must not match, and must not crash."""
    program = read_program(lower(feed_forward(), output_bits=7, shifts=True).model)
    gather = next(one for one in program.operations if one.op == "Gather" and one.operands[1] in program.tensors)
    indices = np.arange(1)
    for row in (-1, 1000, MODULUS - 1):
        found = compute(program, gather, indices, lambda _, wanted, row=row: np.full(wanted.shape, row, object))
        assert found[0] >= MODULUS, "no field element"
