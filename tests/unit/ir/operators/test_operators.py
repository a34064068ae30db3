"""The operator table: an allow-list of functional operators, none a wildcard, views marked as torch marks them."""

from __future__ import annotations

import pytest

from partwise.errors import UnsupportedOpError
from partwise.ir import OPERATORS, Kind, operator
from partwise.ir.operators.aten import ATEN

ALWAYS_VIEWS = frozenset(
    f"aten.{name}"
    for name in "_unsafe_view.default broadcast_tensors.default meshgrid.default meshgrid.indexing "
    "unsafe_chunk.default unsafe_split.Tensor unsafe_split_with_sizes.default".split()
)
"""Their results share memory although their schemas do not say so."""


def test_an_unknown_operator_is_refused_with_its_place() -> None:
    with pytest.raises(UnsupportedOpError, match=r"aten\.from_file.*encoder\.0.*no row"):
        operator("aten.from_file.default", "encoder.0")


@pytest.mark.parametrize("name", ["aten.from_file.default", "operator.methodcaller", "operator.call", "aten.*", ""])
def test_what_reads_files_or_calls_anything_has_no_row(name: str) -> None:
    assert name not in OPERATORS


def test_names_are_unique() -> None:
    assert len({row.name for row in ATEN}) == len(ATEN)


def test_every_contraction_counts_and_nothing_else_does() -> None:
    counted = {Kind.MATMUL, Kind.CONV, Kind.ATTENTION, Kind.EXPERTS}
    assert all((row.macs is not None) == (row.kind in counted) for row in ATEN)


def test_what_no_rule_counts_says_so_and_plain_reductions_do_not() -> None:
    said = "det linalg_svd fft_rfft2 stft".split()
    assert all(
        OPERATORS[name].uncounted for name in [*(f"aten.{name}.default" for name in said), "onnx.DFT", "onnx.Det"]
    )
    plain = "linalg_vector_norm linalg_cross fft_fftshift fft_rfftfreq".split()
    assert not any(OPERATORS[f"aten.{name}.default"].uncounted for name in plain)
    assert not any(row.uncounted and (row.macs or row.cheap) for row in OPERATORS.values())


def test_rows_are_overloads_of_torch_that_write_nothing_and_alias_what_they_say() -> None:
    torch = pytest.importorskip("torch")
    for row in ATEN:
        namespace, name, overload = row.name.split(".")
        if namespace != "aten":
            continue
        schema = getattr(getattr(torch.ops.aten, name), overload)._schema
        aliases = [argument.alias_info for argument in schema.arguments if argument.alias_info is not None]
        assert not any(alias.is_write for alias in aliases), f"{row.name} writes into an argument"
        assert (row.kind is Kind.VIEW) == (bool(aliases) or row.name in ALWAYS_VIEWS), row.name
