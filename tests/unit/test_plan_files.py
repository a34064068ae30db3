"""Files of users that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from partwise import plan_files
from partwise.errors import PartwiseError

READERS = [plan_files.load_plan, plan_files.read_workload, plan_files.read_devices, plan_files.read_cluster]


@pytest.mark.parametrize("read", [*READERS, plan_files.read_constraints])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"{]"])
def test_each_says_which_file_it_is(read: Callable[[Path], object], content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    if content == b"" and read is plan_files.read_constraints:
        return  # no constraint at all is no mistake
    with pytest.raises(PartwiseError, match=str(path)):
        read(path)
