"""Which models can be batched, and that rows are joined and split as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partwise.errors import InputError
from partwise.packaging import Manifest
from partwise.runtime.executors import Options, start_executor
from partwise.serving.batching import batch_symbol, join, split
from partwise.serving.checks import check_rows
from tests.packages import example, small_package


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return small_package(tmp_path_factory.mktemp("batching") / "package", "null").manifest


def test_one_symbol_first_everywhere(manifest: Manifest) -> None:
    assert batch_symbol(manifest) == "batch"


@pytest.mark.parametrize("shape", [None, (), (4,), (4, "batch"), ("batch", "batch"), ("batch", "2*batch"), ("rows",)])
def test_anything_else_is_not_batched(manifest: Manifest, shape: Any) -> None:
    first, *others = manifest.inputs
    assert batch_symbol(replace(manifest, inputs=(replace(first, shape=shape), *others))) is None


def test_an_output_without_rows_is_not_batched(manifest: Manifest) -> None:
    last = manifest.segments[-1]
    scalar = replace(last, outputs=tuple(replace(port, shape=(3,)) for port in last.outputs))
    assert batch_symbol(replace(manifest, segments=(*manifest.segments[:-1], scalar))) is None


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_what_is_joined_is_split(rows: list[int]) -> None:
    requests = [example(count, seed=number) for number, count in enumerate(rows)]
    for mine, found in zip(requests, split(join(requests), rows), strict=True):
        assert {name: value.tobytes() for name, value in mine.items()} == {n: v.tobytes() for n, v in found.items()}
        assert all(np.array_equal(value.shape, mine[name].shape) for name, value in found.items())


def test_rows_that_see_each_other_are_found(tmp_path: Path) -> None:
    """The null engine's answers follow from all bytes of a batch."""
    package = small_package(tmp_path / "package", "null")
    with (
        start_executor("in-process", package, Options(engine="null", threads=1)) as executor,
        pytest.raises(InputError, match="change each other's `y`"),
    ):
        check_rows(package, executor, "batch")


def test_rows_that_do_not_are_let_through(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    package = small_package(tmp_path / "package", "torch")
    with start_executor("in-process", package, Options(engine="torch", threads=1)) as executor:
        check_rows(package, executor, "batch")
