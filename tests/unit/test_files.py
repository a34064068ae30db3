"""Files written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.files import write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    for data in (b"first", b"second"):
        write_whole(target, data)
        assert target.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_nothing_is_left_where_the_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(tmp_path / "folder", b"data")
    with pytest.raises(InputError, match="No such file"):
        write_whole(tmp_path / "missing" / "plan.json", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
