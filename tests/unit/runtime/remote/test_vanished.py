"""The cluster's first machine is gone: said long before Ray would end the process in the middle of its work."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import pytest

from partwise.errors import RunError
from partwise.runtime.executors import Options
from partwise.runtime.remote import ray_members
from partwise.runtime.remote.crew import Crew
from partwise.runtime.remote.members import Change, Vanished
from partwise.runtime.remote.ray_members import RayMembers
from tests.packages import small_package


def members(address: str, told: SimpleQueue[Change]) -> RayMembers:
    """Without Ray: nothing but the look-out is asked."""
    made = RayMembers.__new__(RayMembers)
    hidden = cast(Any, made)
    hidden._address, hidden._report = address, told.put
    hidden._ended, hidden._vanished = threading.Event(), threading.Event()
    return made


def test_a_cluster_that_is_gone_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_members, "_LOOK_S", 0.02)
    monkeypatch.setattr(ray_members, "_VANISHED_S", 0.2)
    told = SimpleQueue[Change]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = members(f"127.0.0.1:{listener.getsockname()[1]}", told)
        looking = threading.Thread(target=made._look_out)  # pyright: ignore[reportPrivateUsage]
        looking.start()
        looking.join(0.5)
        assert looking.is_alive()  # as long as somebody answers
        assert told.empty()
    looking.join(10)
    found = told.get(timeout=10)
    assert isinstance(found, Vanished)
    assert "is gone: nothing answers there" in str(found.error)
    made.close()  # asks nothing of Ray, which would wait


def test_it_ends_the_run(tmp_path: Path) -> None:
    link = cast(Any, SimpleNamespace(key="k"))
    package = small_package(tmp_path / "package", "null")
    crew = Crew(package, Options(engine="null", threads=1), link, lambda worker: None)  # noqa: ARG005
    with pytest.raises(RunError, match="is gone"):
        crew.changed(Vanished(RunError("cluster x:1", "is gone")))
