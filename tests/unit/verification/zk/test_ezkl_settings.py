"""What ezkl says when a witness fails, in words of the user's model."""

from __future__ import annotations

from partwise.errors import ProverError
from partwise.verification.zk.ezkl_settings import explain_witness
from partwise.verification.zk.prover import OutOfRange


def test_an_index_that_no_table_has() -> None:
    said = "`gen_witness` panicked: assertion failed: self.dims[i] > indices[i] (thread '<unnamed>' panicked at mod.rs)"
    found = explain_witness(ProverError("segment 0", said))
    assert not isinstance(found, OutOfRange)
    assert str(found).startswith("segment 0: takes a row that its table lacks: an index below 0")


def test_a_value_too_large_and_anything_else() -> None:
    found = explain_witness(
        ProverError("segment 0", "integer -70000 is too large to be represented by base 64 and n 2")
    )
    assert isinstance(found, OutOfRange)
    assert (found.value, found.reach) == (70000, 4096)
    other = ProverError("segment 0", "panicked: something else")
    assert explain_witness(other) is other
