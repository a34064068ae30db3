"""Requests and answers of sliced models as JSON: by name or by position, and nothing that could be read two ways."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from partwise.dsperse.tensors import read_tensors, write_tensors
from partwise.errors import InputError, RunError

WANTED = [("x", (2, 2)), ("m", (2,))]


def read(tmp_path: Path, text: str, wanted: list[tuple[str, tuple[int, ...]]] = WANTED) -> dict[str, np.ndarray]:
    (tmp_path / "a.json").write_text(text)
    return read_tensors(tmp_path / "a.json", wanted)


def test_what_is_written_is_read_to_the_bit(tmp_path: Path) -> None:
    given = {"x": np.random.default_rng(0).standard_normal((2, 2)).astype(np.float32), "m": np.array([1, 2])}
    write_tensors(tmp_path / "a.json", given)
    found = read_tensors(tmp_path / "a.json", WANTED)
    assert {name: value.astype(given[name].dtype).tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in given.items()
    }


def test_bfloat16_is_written_as_the_same_numbers(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.json", {"x": np.array([1.5, -0.0078125], ml_dtypes.bfloat16), "m": np.array([True])})
    assert {n: v.tolist() for n, v in read_tensors(tmp_path / "a.json", []).items()} == {
        "x": [1.5, -0.0078125],
        "m": [True],
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_json_has_no_word_for_is_refused_and_nothing_is_written(value: float, tmp_path: Path) -> None:
    given = {"x": np.zeros(2, np.float32), "y": np.array([[1.0, value, 2.0]], np.float32)}
    with pytest.raises(RunError, match=rf"`y`: holds .* got {value}, 1 of 3"):
        write_tensors(tmp_path / "a.json", given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        '{"x": [[1, 2], [3, 4]], "m": [5, 6]}',
        '{"x": [1, 2, 3, 4], "m": [5, 6]}',
        '{"input_data": [[[1, 2], [3, 4]], [5, 6]]}',
        '{"input_data": [[1, 2, 3, 4], [5, 6]]}',
    ],
)
def test_by_name_or_by_position_nested_or_flat(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert {name: value.tolist() for name, value in found.items()} == {"x": [[1, 2], [3, 4]], "m": [5, 6]}


@pytest.mark.parametrize("text", ['{"input_data": [[1, 2], [3, 4]]}', '{"input_data": [[1, 2, 3, 4]]}'])
def test_a_single_input_may_stand_for_itself(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text, [("x", (2, 2))])["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"input_data": [[1, 2], [3]]}', "no regular array"),
        ('{"input_data": 3}', "no list"),
        ('{"x": [1], "x": [2]}', "stands twice"),
        ('{"x": [NaN]}', "finite"),
        ('{"x": [1e999]}', "finite"),
        ('{"x": "text"}', "something else than numbers"),
        ("[1]", "no JSON object"),
    ],
)
def test_what_is_refused(text: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        read(tmp_path, text, [("x", (2, 2))])


def test_each_input_needs_its_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another number of inputs; expected 2, got 3"):
        read(tmp_path, '{"input_data": [1, 2, 3]}')
