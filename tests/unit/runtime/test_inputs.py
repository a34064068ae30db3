"""Inputs: files, folders, values, and none at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from partwise.errors import InputError, InterfaceMismatchError
from partwise.ir import DType
from partwise.packaging import Package, Port
from partwise.runtime import open_inputs, run_package
from partwise.runtime.nested import array_of
from tests.packages import example, small_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("inputs") / "package", "null")


def test_an_archive(package: Package, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **example())
    (found,) = open_inputs(tmp_path / "a.npz", package)
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in example().items()}


def test_json_by_name_takes_the_interface_types(package: Package, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"x": [[1, 2, 3, 0.1]], "mask": [1]}')
    (found,) = open_inputs(tmp_path / "a.json", package)
    assert found["x"].dtype == np.float32
    assert found["x"][0, 3] == np.float32(0.1)
    assert found["mask"].dtype == np.bool_


def test_json_by_position_nested_and_flat(package: Package, tmp_path: Path) -> None:
    for number, data in enumerate(([[[1, 2, 3, 4], [5, 6, 7, 8]], [True, False]], [list(range(8)), [True, False]])):
        (tmp_path / f"{number}.json").write_text(json.dumps({"input_data": data}))
    nested, flat = open_inputs(tmp_path, package)
    assert nested["x"].shape == flat["x"].shape == (2, 4)


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([[1, 2, 3, 4]], (1, 4)),  # the value itself: its second size is 4
        ([[1, 2, 3, 4], [5, 6, 7, 8]], (2, 4)),
        ([[[1, 2, 3, 4]]], (1, 4)),
        ([list(range(8))], (2, 4)),  # a list of inputs, flat, at the sizes of the capture
        (list(range(8)), (2, 4)),
    ],
)
def test_json_by_position_for_a_single_input(
    package: Package, tmp_path: Path, data: list[object], shape: tuple[int, ...]
) -> None:
    alone = Package(package.path, replace(package.manifest, inputs=package.manifest.inputs[:1]))
    (tmp_path / "a.json").write_text(json.dumps({"input_data": data}))
    (found,) = open_inputs(tmp_path / "a.json", alone)
    assert {name: value.shape for name, value in found.items()} == {"x": shape}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"x": [[1, 2], [3]]}', InputError),
        ('{"x": "text"}', InputError),
        ("[1, 2]", InputError),
        ("{", InputError),
        ('{"input_data": 3}', InputError),
        ('{"input_data": [[1]]}', InputError),
        ('{"x": [[1, 2, 3, 4]], "input_data": [[[1, 2, 3, 4]], [1]]}', InputError),
        ('{"x": [[1, 2, 3, 4]], "x": [[5, 6, 7, 8]]}', InputError),
        ('{"x": [[NaN, 2, 3, 4]]}', InputError),
        ('{"x": [[1e300]]}', InterfaceMismatchError),
        ('{"mask": [2]}', InterfaceMismatchError),
        ("[" * 100_000, InputError),
    ],
)
def test_bad_json(package: Package, tmp_path: Path, text: str, error: type[Exception]) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(error):
        open_inputs(tmp_path / "a.json", package)


@pytest.mark.parametrize(
    ("value", "dtype", "fits"),
    [(1.5, DType.INT64, False), (2.0, DType.INT64, True), (-1, DType.UINT8, False), (2**24 + 1, DType.FLOAT32, False),
     (float("inf"), DType.FLOAT32, True), (float("nan"), DType.BFLOAT16, True), (float("nan"), DType.INT8, False),
     (1e6, DType.FLOAT16, False), (True, DType.FLOAT32, True)],
)  # fmt: skip
def test_only_what_a_type_can_hold(value: float, dtype: DType, fits: bool) -> None:
    port = Port(tensor="a", dtype=dtype, shape=())
    if fits:
        assert array_of(value, port, "a").dtype.name == dtype.value
    else:
        with pytest.raises(InterfaceMismatchError):
            array_of(value, port, "a")


def test_a_folder_is_a_stream_in_name_order(package: Package, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        np.savez(tmp_path / f"{name}.npz", **example(batch=ord(name) - 96))
    (tmp_path / "notes.txt").touch()
    stream = open_inputs(tmp_path, package)
    assert stream.is_stream
    assert stream.names == ("a.npz", "b.npz", "c.npz")
    assert [len(values["mask"]) for values in stream] == [1, 2, 3]


def test_an_empty_folder_holds_no_inputs(package: Package, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no inputs"):
        open_inputs(tmp_path, package)


@pytest.mark.parametrize("given", [3, [3], "nowhere.npz", "inputs.txt"])
def test_what_is_no_input(package: Package, given: object) -> None:
    with pytest.raises(InputError):
        open_inputs(given, package)


def test_random_values_fit_repeat_and_say_so(package: Package) -> None:
    first, again, other = (open_inputs(None, package, seed=seed, sizes={"batch": 5}) for seed in (1, 1, 2))
    (a,), (b,), (c,) = first, again, other
    assert a["x"].shape == (5, 4)
    assert a["mask"].all()
    assert a["x"].tobytes() == b["x"].tobytes() != c["x"].tobytes()
    assert (first.origin.kind, first.origin.seed) == ("random", 1)


@pytest.mark.parametrize("sizes", [{"sequence": 3}, {"batch": 0}, {"batch": 10**15}])
def test_sizes_must_be_the_models(package: Package, sizes: dict[str, int]) -> None:
    with pytest.raises(InputError):
        open_inputs(None, package, sizes=sizes)


def test_sizes_are_for_random_inputs(package: Package) -> None:
    with pytest.raises(InputError, match="random inputs"):
        open_inputs(example(), package, sizes={"batch": 3})


def test_numpys_own_bfloat16_and_foreign_byte_order(package: Package, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=example()["x"].astype(">f4"), mask=example()["mask"])
    (found,) = open_inputs(tmp_path / "a.npz", package)
    assert found["x"].dtype.isnative
    port = Port(tensor="x", dtype=DType.BFLOAT16, shape=(1,))
    from partwise.runtime.inputs import _array  # pyright: ignore[reportPrivateUsage]

    assert _array(np.ones(1, ml_dtypes.bfloat16).view("V2"), port, "x").dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 4))}, "another dtype; expected float32, got float64"),
        ({"x": np.zeros((2, 5), np.float32)}, r"another shape; expected \[2, 4\], got \[2, 5\]"),
        ({"mask": np.zeros(3, bool)}, r"model input `mask`: has another shape; expected \[2\], got \[3\]"),
        ({"z": np.zeros(3)}, "`z` is unknown"),
    ],
)
def test_a_mismatch_names_the_value(package: Package, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InterfaceMismatchError, match=message):
        run_package(package, example() | change, save=False)


def test_a_missing_input_is_named(package: Package) -> None:
    with pytest.raises(InterfaceMismatchError, match="lacks `mask`"):
        run_package(package, {"x": example()["x"]}, save=False)
