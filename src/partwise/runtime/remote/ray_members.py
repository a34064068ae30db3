"""Ray as membership, placement, supervision and restart: one actor for each worker that a node states.

A thread of the head looks at the cluster twice a second. A node that states `partwise_worker` gets as many actors,
bound to it; Ray starts each again when it dies, and a call that lasts as long as the actor tells of its death at once.
Nothing but the handshake goes over Ray, as bytes of JSON.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from partwise.errors import PartwiseError, RunError
from partwise.extras import require
from partwise.runtime.remote.handshake import Invitation, Statement, capacity_of
from partwise.runtime.remote.members import Arrived, Change, Departed, Unfit, Vanished
from partwise.runtime.remote.node import WORKER, reach, require_token
from partwise.runtime.remote.ray_actor import RayWorker

__all__ = ["RayMembers"]

_LOOK_S = 0.5
_VANISHED_S = 30.0
"""How long the first machine may not answer (assumed). Ray itself ends this process after 60 s, in the middle of
whatever it does (`gcs_rpc_server_reconnect_timeout_s` of Ray 2.60)."""


@dataclass(slots=True)
class _Slot:
    """Room for one worker on a node."""

    number: int
    node: str
    resources: dict[str, float]
    actor: Any
    call: Any
    """The call under way: `hello`, or `live` once it has arrived."""
    arrived: bool = False
    retry_s: float = 0.0


class RayMembers:
    """See the module."""

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            RunError: there is no such cluster, or it refuses our token.
            InputError: authentication is switched off.
        """
        require_token()
        reach(address)
        self._ray, self._address = require("ray"), address
        self._slots: dict[int, _Slot] = {}
        self._known: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._ended, self._vanished = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        _connect(self._ray, address)

    def start(self, invite: Callable[[int], Invitation], report: Callable[[Change], None]) -> int:
        """See `Members`."""
        self._invite, self._report = invite, report
        self._look()
        self._thread = threading.Thread(target=self._serve, name="partwise-members", daemon=True)
        self._thread.start()
        threading.Thread(target=self._look_out, name="partwise-lookout", daemon=True).start()
        return len(self._slots)

    def restart(self, number: int) -> None:
        """See `Members`."""
        slot = self._slots.get(number)
        if slot is not None:  # in a thread of its own: where the cluster is gone, Ray waits for it
            threading.Thread(target=self._kill, args=(slot.actor,), daemon=True).start()

    def close(self) -> None:
        """See `Members`."""
        self._ended.set()
        if self._vanished.is_set():
            return  # every call of Ray's would wait for what is not there
        if self._thread is not None:
            self._thread.join()
        for slot in self._slots.values():
            self._ray.kill(slot.actor, no_restart=True)
        self._slots.clear()
        if self._ray.is_initialized():
            self._ray.shutdown()

    def _kill(self, actor: Any) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, RuntimeError):
            self._ray.kill(actor, no_restart=False)

    def _serve(self) -> None:
        looked_s = time.monotonic()
        while not self._ended.is_set():
            now_s = time.monotonic()
            calls = {slot.call: slot for slot in self._slots.values() if slot.retry_s <= now_s}
            if not calls:
                self._ended.wait(_LOOK_S)
            done: list[Any] = self._ray.wait(list(calls), num_returns=1, timeout=_LOOK_S)[0] if calls else []
            for call in done:
                self._ended_call(calls[call])
            if time.monotonic() - looked_s > _LOOK_S:
                self._look()
                looked_s = time.monotonic()

    def _look_out(self) -> None:
        """See whether the cluster is still there, in a thread of its own: Ray's calls wait for it."""
        heard_s = time.monotonic()
        while not self._ended.wait(_LOOK_S):
            with contextlib.suppress(RunError):
                reach(self._address)
                heard_s = time.monotonic()
            if time.monotonic() - heard_s > _VANISHED_S:
                self._vanished.set()
                error = RunError(f"cluster {self._address}", f"is gone: nothing answers there for {_VANISHED_S:g} s")
                self._report(Vanished(error))
                return

    def _look(self) -> None:
        """Start actors where there is room for workers that have none."""
        for node in self._ray.nodes():
            if node["Alive"]:
                for place in range(int(node["Resources"].get(WORKER, 0))):
                    if (node["NodeID"], place) not in self._known:
                        self._place(node["NodeID"], place, node["Resources"])

    def _place(self, node: str, place: int, resources: dict[str, float]) -> None:
        number = self._known[node, place] = len(self._known)
        invited = msgspec.json.encode(self._invite(number))
        strategy = require("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(node, soft=False)
        kind = self._ray.remote(RayWorker).options(
            num_cpus=0, resources={WORKER: 1}, scheduling_strategy=strategy, max_restarts=-1, max_concurrency=8
        )
        actor = kind.remote(invited)
        self._slots[number] = _Slot(number, node, dict(resources), actor, actor.hello.remote())

    def _ended_call(self, slot: _Slot) -> None:
        try:
            told = self._ray.get(slot.call)
        except self._ray.exceptions.RayError as error:
            self._failed(slot, error)
            return
        if slot.arrived:  # `live` never returns by itself
            return
        slot.arrived, slot.call = True, slot.actor.live.remote()
        try:
            stated = msgspec.json.decode(told, type=Statement)
        except msgspec.DecodeError as error:
            self._report(Unfit(slot.number, RunError(f"worker {slot.number}", f"speaks another handshake ({error})")))
            return
        self._report(Arrived(slot.number, stated, capacity_of(slot.resources)))

    def _failed(self, slot: _Slot, error: Exception) -> None:
        """A worker is gone, or never was there."""
        exceptions = self._ray.exceptions
        cause = _ours(error)
        if slot.arrived:
            self._report(Departed(slot.number, _short(error)))
            slot.arrived = False
        elif cause is not None:
            self._report(Unfit(slot.number, cause))
        passing = cause is None and isinstance(error, exceptions.ActorUnavailableError)
        if passing or not self._is_dead(slot, error):
            slot.call, slot.retry_s = slot.actor.hello.remote(), time.monotonic() + _LOOK_S
            return
        del self._slots[slot.number]
        if cause is None:
            self._report(Unfit(slot.number, RunError(f"worker {slot.number}", f"could not start ({_short(error)})")))

    def _is_dead(self, slot: _Slot, error: Exception) -> bool:
        """Whether Ray will not start it again: its node is gone, or it failed as it began."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        return slot.node not in alive or "creation task" in str(error)


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, namespace="partwise")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        words = str(error.__cause__ or error)
        if "token" in words.lower():
            raise RunError(f"cluster {address}", "refuses our token",
                           hint="RAY_AUTH_TOKEN_PATH: the same file on every machine.") from None  # fmt: skip
        raise RunError(f"cluster {address}", f"cannot be joined ({_short(error)})",
                       hint="this machine must be one of its nodes: partwise worker --join …") from None  # fmt: skip


def _ours(error: Exception) -> PartwiseError | None:
    """An error of ours that an actor met as it began."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PartwiseError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}" if str(error) else type(error).__name__
