"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.files import working_folder, write_whole


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


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """Nor is a device: root's `-o /dev/null` must not make a file of it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, b"data")
        assert os.read(reader, 99) == b"data"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_folder_under_way_is_kept_and_one_that_was_left_is_removed(tmp_path: Path) -> None:
    """A second call at the same time swept away what the first was writing."""
    (tmp_path / ".run.left").mkdir()
    (tmp_path / ".run.left" / "half").touch()
    (tmp_path / ".run.elsewhere").symlink_to(tmp_path.parent)
    with working_folder(tmp_path, "run") as first:
        assert not (tmp_path / ".run.left").exists()
        (first / "half").touch()
        with working_folder(tmp_path, "run") as second:
            second.rename(tmp_path / "whole")
        assert (first / "half").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.elsewhere", "whole"]
    assert tmp_path.parent.is_dir()
