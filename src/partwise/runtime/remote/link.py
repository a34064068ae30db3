"""Direct links between members of a run: ZeroMQ with CURVE, each member known by its public key.

A member may listen (a ROUTER socket, the CURVE server) and connects to those that do (a DEALER socket each). Who
connects knows the listener's key, and the listener takes no key that was not introduced: both ends are authenticated,
every byte is encrypted. Source: CurveZMQ, rfc.zeromq.org/spec/26; keys are checked by ZAP, rfc.zeromq.org/spec/27.

All sockets belong to one thread. Messages are frames of bytes; what they say is `wire`'s affair. A ROUTER drops in
silence what it cannot send, so it is told to complain (ROUTER_MANDATORY), and nothing is sent that was not asked for:
a task is a credit of the schedule's queue, a tensor or a part of a blob is the answer to one question.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from partwise.extras import require
from partwise.runtime.packet import Frame

__all__ = ["Link"]

_HEARTBEAT_MS = 2000
_SILENCE_MS = 10_000
"""Between ZeroMQ's own heartbeats, and the silence after which a connection is made anew (assumed)."""
_TICK_MS = 1000
Handler = Callable[[str, list[memoryview]], None]


class Link:
    """One member's sockets and their thread."""

    def __init__(self, handler: Handler, *, listen: str | None = None, tick: Callable[[], None] = lambda: None) -> None:
        """Open the sockets.

        Args:
            handler: called on the link's thread with the sender's key and the frames; it must not wait.
            listen: the address to listen on; None for a member that only connects.
            tick: called on the link's thread now and then, at least once in two seconds.
        """
        self._zmq, self._handler, self._tick = require("zmq"), handler, tick
        public, self._secret = self._zmq.curve_keypair()
        self.key: str = public.decode()
        """Public key, as ZeroMQ writes it (Z85)."""
        self.endpoint: str | None = None
        self._context = self._zmq.Context()
        self._allowed: set[str] = set()
        self._routes: dict[str, bytes] = {}
        """How the ROUTER reaches those that connected."""
        self._dealers: dict[str, Any] = {}
        self._heard_s: dict[str, float] = {}
        self._todo: deque[tuple[Any, ...]] = deque()
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)
        self._router: Any = None
        self._gate: Any = None
        self._z85: Callable[[bytes], bytes] = require("zmq.utils.z85").encode
        if listen is not None:
            self._listen(listen)
        self._poller = self._zmq.Poller()
        self._poller.register(self._ear.fileno(), self._zmq.POLLIN)
        for served in filter(None, (self._router, self._gate)):
            self._poller.register(served, self._zmq.POLLIN)
        self._thread = threading.Thread(target=self._serve, name="partwise-link", daemon=True)
        self._thread.start()

    def admit(self, key: str) -> None:
        """Take connections from a key."""
        self._allowed.add(key)

    def connect(self, key: str, endpoint: str) -> None:
        """Reach a listener at an endpoint under its key; a second time changes nothing."""
        self._post("connect", key, endpoint)

    def reconnect(self, key: str, endpoint: str) -> None:
        """Reach a listener over a new connection; what was under way on the old one is lost."""
        self._post("leave", key)
        self.connect(key, endpoint)

    def forget(self, key: str) -> None:
        """Take nothing from a key any more, and send it nothing."""
        self._allowed.discard(key)
        self._post("forget", key)

    def heard_s(self, key: str) -> float | None:
        """When something last came from a member, of those that are not forgotten; None: never."""
        return self._heard_s.get(key)

    def send(self, key: str, frames: Sequence[Frame]) -> None:
        """Send to a member that was connected to, or that has connected; without waiting.

        A member that is gone gets nothing, and nobody is told: its own death is found out by whoever keeps it.
        """
        self._post("send", key, frames)

    def close(self) -> None:
        """Close every socket. Safe to call twice."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._post("close")
            self._thread.join()

    def _post(self, *item: Any) -> None:
        self._todo.append(item)
        with contextlib.suppress(OSError):  # full: it has been woken; closed: nobody is there to wake
            self._bell.send(b".")

    def _listen(self, address: str) -> None:
        zmq = self._zmq
        self._gate = self._context.socket(zmq.REP)
        self._gate.bind("inproc://zeromq.zap.01")
        self._router = self._socket(zmq.ROUTER)
        self._router.curve_server = 1
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        port = self._router.bind_to_random_port(f"tcp://{address}")
        self.endpoint = f"tcp://{address}:{port}"

    def _judge(self) -> None:
        """Answer ZeroMQ whether a key may connect. Source: ZAP, rfc.zeromq.org/spec/27, for the CURVE mechanism."""
        version, number, _, _, _, mechanism, *credentials = self._gate.recv_multipart()
        key = self._z85(credentials[0]).decode() if mechanism == b"CURVE" and credentials else ""
        known = key in self._allowed
        status, text = (b"200", b"OK") if known else (b"400", b"not introduced")
        self._gate.send_multipart([version, number, status, text, key.encode() if known else b"", b""])

    def _socket(self, kind: int) -> Any:
        made = self._context.socket(kind)
        made.curve_publickey, made.curve_secretkey = self.key.encode(), self._secret
        made.linger = 0
        made.setsockopt(self._zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        made.setsockopt(self._zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
        return made

    def _serve(self) -> None:
        ticked_s = time.monotonic()
        try:
            while self._work_off():
                ready = dict(self._poller.poll(_TICK_MS))
                if self._ear.fileno() in ready:
                    with contextlib.suppress(BlockingIOError):
                        self._ear.recv(4096)
                if self._gate in ready:
                    self._judge()
                if self._router in ready:
                    self._drain(self._router, None)
                for key, dealer in list(self._dealers.items()):
                    if dealer in ready:
                        self._drain(dealer, key)
                if time.monotonic() > ticked_s + _TICK_MS / 1000:
                    ticked_s = time.monotonic()
                    self._tick()
        finally:
            self._end()

    def _work_off(self) -> bool:
        """Do what was posted; whether to go on."""
        while self._todo:
            match self._todo.popleft():
                case ("send", key, frames):
                    self._send(key, frames)
                case ("connect", key, endpoint) if key not in self._dealers:
                    dealer = self._dealers[key] = self._socket(self._zmq.DEALER)
                    dealer.curve_serverkey = key.encode()
                    dealer.connect(endpoint)
                    self._poller.register(dealer, self._zmq.POLLIN)
                case ("leave", key):
                    self._leave(key)
                case ("forget", key):
                    self._routes.pop(key, None)
                    self._leave(key)
                case ("close",):
                    return False
                case _:
                    pass
        return True

    def _leave(self, key: str) -> None:
        self._heard_s.pop(key, None)
        dealer = self._dealers.pop(key, None)
        if dealer is not None:
            self._poller.unregister(dealer)
            dealer.close()

    def _send(self, key: str, frames: Sequence[Frame]) -> None:
        """By the connection that the other has made, if there is one: it was let in, ours may have come too early."""
        zmq = self._zmq
        if key in self._routes and self._router is not None:
            with contextlib.suppress(zmq.ZMQError):
                self._router.send_multipart([self._routes[key], *frames], flags=zmq.DONTWAIT, copy=False)
                return
        if key in self._dealers:
            with contextlib.suppress(zmq.ZMQError):
                self._dealers[key].send_multipart(frames, flags=zmq.DONTWAIT, copy=False)

    def _drain(self, source: Any, key: str | None) -> None:
        """All that has come in, to the handler."""
        while True:
            try:
                frames = source.recv_multipart(flags=self._zmq.DONTWAIT, copy=False)
            except self._zmq.Again:
                return
            sender = key
            if sender is None:
                sender = str(frames[0].get("User-Id"))
                self._routes[sender] = frames[0].bytes
                frames = frames[1:]
                if sender not in self._allowed:
                    continue  # its connection is older than its dismissal
            self._heard_s[sender] = time.monotonic()
            self._handler(sender, [frame.buffer for frame in frames])

    def _end(self) -> None:
        self._context.destroy(linger=0)
        self._bell.close()
        self._ear.close()
