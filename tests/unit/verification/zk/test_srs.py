"""The SRS: sizes, digests, and the part that a verifier needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.digest import is_digest
from partwise.errors import InputError
from partwise.verification.zk.ezkl_call import call_ezkl
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.srs import find_srs, matching_srs, open_srs
from partwise.verification.zk.srs_points import srs_bytes, verifier_srs
from partwise.verification.zk.srs_public import PUBLIC_SRS

pytest.importorskip("ezkl")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_public_digests_are_digests() -> None:
    assert sorted(PUBLIC_SRS) == list(range(1, 27))
    assert all(map(is_digest, PUBLIC_SRS.values()))


def test_the_verifiers_part_is_the_file_of_k_1_with_the_same_secret(tmp_path: Path) -> None:
    """Computed Lagrange points and all: so the public ceremony's part has the digest of its own kzg1.srs."""
    call_ezkl("gen_srs", "test", CallLimits(), srs_path=tmp_path / "kzg1.srs", logrows=1)
    whole = (tmp_path / "kzg1.srs").read_bytes()
    assert len(whole) == srs_bytes(1)
    assert verifier_srs(whole[:132], whole[-256:]) == whole


def test_one_is_made_only_when_asked_and_then_found_again() -> None:
    with pytest.raises(InputError, match=r"docs/prove\.md"):
        find_srs(5, None, insecure=False)
    made = find_srs(5, None, insecure=True)
    assert made.self_made
    assert find_srs(4, None, insecure=True) == made
    assert matching_srs(None, 5, made.digest) == made
    assert matching_srs(None, 6, made.digest) is None
    with pytest.raises(InputError, match="can forge proofs"):
        find_srs(4, made.path, insecure=False)
    with pytest.raises(InputError, match="too small"):
        find_srs(6, made.path, insecure=True)


def test_a_changed_file_is_not_taken_from_the_cache() -> None:
    made = find_srs(4, None, insecure=True)
    data = bytearray(made.path.read_bytes())
    data[100] ^= 1
    made.path.write_bytes(bytes(data))
    assert find_srs(4, None, insecure=True).digest not in (made.digest, open_srs(made.path).digest)


def test_what_is_no_srs(tmp_path: Path) -> None:
    for data in (b"", b"\x04\x00\x00\x00", bytes(srs_bytes(3))):
        (tmp_path / "x.srs").write_bytes(data)
        with pytest.raises(InputError, match="no SRS"):
            open_srs(tmp_path / "x.srs")


def test_commitments_need_a_file_of_their_own_size() -> None:
    """ezkl's `kzg_commit` would use all points of a larger one, and give another commitment."""
    large = find_srs(5, None, insecure=True)
    small = find_srs(4, None, insecure=True, exact=True)
    assert (small.logrows, find_srs(4, None, insecure=True).logrows) == (4, 4)
    assert matching_srs(None, 4, large.digest, exact=True) is None
    with pytest.raises(InputError, match="another size"):
        find_srs(4, large.path, insecure=True, exact=True)
