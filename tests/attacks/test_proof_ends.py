"""The ends of a chain: a request or a claim that is another number than was proved, however it is written."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from partwise.dsperse.tensors import read_tensors
from partwise.errors import InputError, ManifestError
from partwise.ir import DType
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.ends import claimed, exact_values, requested
from partwise.verification.zk.manifest import proof_manifest_from_bytes, proof_manifest_to_bytes
from proof_manifests import one_segment


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (DType.UINT8, np.array([300])),  # 44
        (DType.INT32, np.array([2**32 + 5])),  # 5
        (DType.UINT64, np.array([-1])),  # 2^64 - 1, which is -1 again on the way back
        (DType.INT64, np.array([2**64 - 1], np.uint64)),
        (DType.INT64, np.array([1.7])),
        (DType.INT64, np.array([np.nan])),
        (DType.INT8, np.array([np.inf])),
        (DType.FLOAT32, np.array([2**24 + 1])),
        (DType.FLOAT16, np.array([1e9])),
        (DType.FLOAT32, np.array([np.nan])),
        (DType.FLOAT32, np.array([True])),
    ],
)
def test_a_request_that_the_model_would_read_as_another(dtype: DType, value: np.ndarray) -> None:
    with pytest.raises(InputError, match="input `x`"):
        list(requested(one_segment(dtype), {"x": value}))


def test_an_honest_request_is_taken() -> None:
    for dtype, value in ((DType.UINT8, [255]), (DType.INT64, [-3.0]), (DType.FLOAT16, [0.1]), (DType.UINT64, [2**60])):
        assert list(requested(one_segment(dtype), {"x": np.array(value)}))


@pytest.mark.parametrize(
    "claim",
    [
        np.array([2**53 + 1]),
        np.array([np.longdouble(2) ** 53 + 1]),
        np.array([-(2**53) - 1]),
    ],
)
def test_a_claim_that_float64_would_round_to_what_was_proved(claim: np.ndarray) -> None:
    proved = 2**53 if claim[0] > 0 else -(2**53)
    try:
        assert exact_values(claim, 0, "output") != (proved,)
    except InputError as refused:
        assert "no multiple" in str(refused)  # noqa: PT017 - either is right: another value, or none


def test_a_whole_number_among_decimals_is_not_rounded(tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_text(f'{{"y": [{2**53 + 1}, 0.5]}}')
    with pytest.raises(InputError, match="whole number"):
        read_tensors(tmp_path / "claim.json", [("y", (2,))])


def test_minus_zero_is_zero_and_nothing_else_near_it_is() -> None:
    assert [values for *_, values in claimed(one_segment(DType.FLOAT32), {"y": np.array([-0.0])})] == [(0,)]
    for value in (5e-324, -5e-324, 1e-9):
        with pytest.raises(InputError, match="no multiple"):
            list(claimed(one_segment(DType.FLOAT32), {"y": np.array([value])}))


@pytest.mark.parametrize("names", [("y.npy", "y.npy"), ("y.npy", "y@bfloat16.npy")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_arrays_of_one_name(names: tuple[str, str], tmp_path: Path) -> None:
    """One reader takes the first, another the last."""
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as made:
        for name, value in zip(names, (1, 2), strict=True):
            member = io.BytesIO()
            np.save(member, np.array([value], np.uint16))
            made.writestr(name, member.getvalue())
    with pytest.raises(InputError, match="two arrays of one name"):
        read_tensors(tmp_path / "claim.npz", [("y", (1,))])


@pytest.mark.parametrize("depth", [65, 300, 490, 495, 500, 5000])
def test_pieces_within_pieces_without_end(depth: int) -> None:
    """At each depth an error of ours: below what the parser takes, and at the edge of what the writer does."""
    plain = proof_manifest_to_bytes(one_segment(DType.FLOAT32)).decode()
    start, end = plain.index('"segments":[') + len('"segments":['), plain.rindex("]")
    head, tail = plain[start:end].split('"pieces":[]')
    nested = (head + '"pieces":[') * depth + plain[start:end] + ("]" + tail) * depth
    with pytest.raises(ManifestError):
        proof_manifest_from_bytes((plain[:start] + nested + plain[end:]).encode(), "manifest")


def test_bytes_around_the_archive(tmp_path: Path) -> None:
    """Another archive in front of it or behind it: which one is read depends on the reader."""
    path, other = tmp_path / "proofs.zip", tmp_path / "other.zip"
    for place, text in ((path, b"{}"), (other, b"[]")):
        write_bundle(place, Bundle(manifest=text, not_proved=frozenset(), proofs={}, keys={}))
    assert read_bundle(path).problems == ()
    honest = path.read_bytes()
    for around, said in (
        (other.read_bytes() + honest, "before the first file"),
        (b"\0" + honest, "before the first file"),
        (honest + b"\0", "follow the end"),
        (honest[:-2] + b"\7\0comment", "follow the end"),
    ):
        path.write_bytes(around)
        assert any(said in problem for problem in read_bundle(path).problems)
