"""HTTP as uvicorn speaks it, with a limit on how long a connection may take to begin a request.

Without it whoever opens connections and says nothing, or one byte now and then, keeps their places for ever, and a
server with a limit on connections answers nobody else (RFC 9110, section 15.5.9, is about such clients).
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_S", "PatientProtocol"]

HEAD_S = 10.0
"""From a connection, or the end of its last answer, to the end of the next request's head (assumed)."""


class PatientProtocol(H11Protocol):
    """One connection."""

    head_s = HEAD_S
    _until_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._until_head is not None:
            self._until_head.cancel()

    def _wait(self) -> None:
        if self._until_head is not None:
            self._until_head.cancel()
        self._until_head = self.loop.call_later(self.head_s, self._lose_patience)

    def _lose_patience(self) -> None:
        """A request that is being answered has a limit of its own."""
        answering = bool(self.cycle) and not self.cycle.response_complete
        if not answering and not self.transport.is_closing():
            self.transport.close()
