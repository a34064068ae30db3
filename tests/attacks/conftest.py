"""One proved run for all attacks on proofs."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from partwise.dsperse import PROOFS, prove_run, run_slices
from partwise.verification.zk.bundle import Bundle, read_bundle
from zk_models import Proved, own_folders, proved, request_file


@pytest.fixture(scope="package")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Generator[Proved]:
    """A proved run, made once."""
    folder = tmp_path_factory.mktemp("honest")
    with own_folders(folder):
        yield proved(folder)


@pytest.fixture(scope="package")
def bundle(honest: Proved) -> Bundle:
    return read_bundle(honest.run / PROOFS)


@pytest.fixture(scope="package")
def replayed(honest: Proved, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An honest proof of segment 1 for another request."""
    other = request_file(tmp_path_factory.mktemp("other") / "input.json", seed=7)
    run = run_slices(honest.layout, honest.prover, other).path
    prove_run(honest.layout, run, honest.prover, layers=[1])
    return (run / "segment_1" / "proof.json").read_bytes()
