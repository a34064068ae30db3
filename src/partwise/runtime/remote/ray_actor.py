"""The actor: a worker in a process that Ray keeps alive.

Ray starts it with the environment of `partwise worker`, which says what the machine's owner has decided.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import msgspec

from partwise.extras import require
from partwise.freed_memory import keep_freed
from partwise.runtime.remote.handshake import Invitation
from partwise.runtime.remote.worker import Settings, Worker

__all__ = ["SETTINGS", "RayWorker", "settings_to_environment"]

SETTINGS = "PARTWISE_WORKER"
"""Name of the environment variable: `Settings` as JSON."""


class RayWorker:
    """See the module."""

    def __init__(self, invited: bytes) -> None:
        """Begin to listen, on the address under which the cluster knows this node."""
        keep_freed()
        address = require("ray").util.get_node_ip_address()
        self._worker = Worker(msgspec.json.decode(invited, type=Invitation), _settings(), address=address)
        self._ended = threading.Event()

    def hello(self) -> bytes:
        """What the worker says of itself."""
        return msgspec.json.encode(self._worker.statement)

    def live(self) -> None:
        """Never return: the caller learns of this process's death by the call's."""
        self._ended.wait()


def settings_to_environment(settings: Settings) -> dict[str, str]:
    """For the processes that a node starts."""
    return {
        SETTINGS: json.dumps({"cache": str(settings.cache), "stores": settings.stores, "package": settings.package})
    }


def _settings() -> Settings:
    given = json.loads(os.environ[SETTINGS])
    return Settings(cache=Path(given["cache"]), stores=tuple(given["stores"]), package=given["package"])
