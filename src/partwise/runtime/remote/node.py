"""`ray start`, wrapped: a node of a cluster that says what its workers take, with token authentication, always.

The node's processes form a session of their own, so that its end ends all of them and nothing else on the machine
(`ray stop` would end every Ray of the machine).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from partwise.errors import InputError, RunError
from partwise.extras import require
from partwise.units import whole_number

__all__ = ["WORKER", "Node", "node_resources", "reach", "refuse_taken", "require_token", "token_path"]

WORKER = "partwise_worker"
"""Custom resource of a node: how many workers it takes."""
_STORE_BYTES = 100_000_000
"""Of Ray's object store, which carries nothing here; Ray wants 75 MB at least."""
_START_S = 90.0
_REACH_S = 5.0
_END_S = 10.0


def token_path() -> Path:
    """Where the cluster's token lies: RAY_AUTH_TOKEN_PATH, or Ray's own place."""
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(given) if given else Path.home() / ".ray" / "auth_token"


def require_token(*, make: bool = False) -> None:
    """See that Ray authenticates by token in this process and its children.

    Args:
        make: write a new token where there is none: for the first node of a cluster.

    Raises:
        InputError: authentication is switched off, or there is no token.
    """
    if (mode := os.environ.setdefault("RAY_AUTH_MODE", "token")).lower() != "token":
        raise InputError("RAY_AUTH_MODE", "switches authentication off: anyone who reaches the cluster could run code "
                         "on it", expected="token", got=mode)  # fmt: skip
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone unless the user asks for it
    if os.environ.get("RAY_AUTH_TOKEN") or token_path().is_file():
        return
    if not make:
        raise InputError(str(token_path()), "is missing: the cluster's token",
                         hint="copy it from the first machine, or set RAY_AUTH_TOKEN_PATH.")  # fmt: skip
    token_path().parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(token_path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def reach(address: str) -> None:
    """See that something listens at a cluster's address: Ray itself tries for minutes before it says so.

    Raises:
        InputError: it is no address.
        RunError: nothing listens there.
    """
    name, colon, port = address.rpartition(":")
    if not (name and colon and (whole_number(port) or 1 << 16) < 1 << 16):
        raise InputError(f"cluster `{address}`", "is no address", expected="HOST:PORT, as 192.168.1.10:6379")
    try:
        socket.create_connection((name.removeprefix("[").removesuffix("]"), int(port)), _REACH_S).close()
    except OSError as error:
        raise RunError(f"cluster {address}", f"cannot be reached ({error.strerror or error})",
                       hint="partwise worker --head, on its first machine, says its address.") from None  # fmt: skip


def refuse_taken(host: str | None, port: int) -> None:
    """See that a new cluster can listen at its port: Ray itself takes a minute to say so, as a bug of its own.

    Raises:
        InputError: something else listens there, or the address is not this machine's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host or "", port))
        except OSError as error:
            hint = "--port takes another one; `ray stop` ends a Ray that was left behind."
            subject = f"{host}:{port}" if host else f"port {port}"
            raise InputError(subject, f"cannot be listened at ({error.strerror or error})", hint=hint) from None


def node_resources(
    workers: int, *, memory: int | None = None, parameters: int | None = None, layers: int | None = None
) -> dict[str, float]:
    """What a node states: how many workers, and what each of them takes."""
    limits = {"partwise_bytes": memory, "partwise_parameters": parameters, "partwise_layers": layers}
    return {WORKER: float(workers)} | {name: float(limit) for name, limit in limits.items() if limit is not None}


class Node:
    """A Ray node of this machine, for as long as the block lasts."""

    def __init__(
        self,
        resources: Mapping[str, float],
        *,
        join: str | None = None,
        port: int = 6379,
        address: str | None = None,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            resources: what it states.
            join: address of the cluster; None: it is the first node of a new one.
            port: of a new cluster.
            address: of this machine, as the others reach it; by default Ray finds one.
            folder: for Ray's sockets and logs; by default Ray's own.
            environment: for its processes, beside this one's.

        Raises:
            RunError: it does not start; with Ray's own words.
        """
        require("ray")
        first = ["--head", f"--port={port}", "--include-dashboard=false", "--disable-usage-stats"]
        place = [f"--temp-dir={folder}"] if folder is not None else []
        words = [
            *([f"--address={join}"] if join is not None else first),
            *([f"--node-ip-address={address}"] if address is not None else []),
            *place,
            "--num-cpus=0",
            "--num-gpus=0",
            f"--object-store-memory={_STORE_BYTES}",
            f"--resources={json.dumps(dict(resources))}",
            "--block",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PYTHONUNBUFFERED": "1"} | dict(os.environ) | dict(environment or {}),
        )
        self.said = b""
        try:
            self._wait_until_up()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """This machine's, as Ray has told the others."""
        found = re.search(rb"Local node IP: (\S+)", self.said)
        return re.sub(r"\x1b\[[0-9;]*m", "", found[1].decode()) if found else "?"

    def wait(self) -> int:
        """Until it ends by itself: its exit code."""
        assert self._process.stdout is not None
        while self._process.stdout.read(1 << 16):
            pass
        return self._process.wait()

    def close(self) -> None:
        """End all its processes. Safe to call twice."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            members = list(self._members())
            for member in members:
                with contextlib.suppress(psutil.Error):
                    member.send_signal(number)
            psutil.wait_procs(members, timeout=_END_S)
        self._process.wait()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _members(self) -> Iterator[psutil.Process]:
        """All processes of its session: Ray's own, and those of its workers."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def _wait_until_up(self) -> None:
        import selectors

        deadline_s = time.monotonic() + _START_S
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"now block forever" not in self.said:
                if time.monotonic() > deadline_s:
                    raise RunError("ray start", f"is not done after {_START_S:g} s", got=_last(self.said))
                if not selector.select(1.0):
                    continue
                told = os.read(self._process.stdout.fileno(), 1 << 16)
                self.said += told
                if not told:
                    raise RunError("ray start", "failed", got=_last(self.said))


def _last(said: bytes) -> str:
    """What Ray said last that says something."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-3:])[:400] or "nothing"
