"""What a server is told: where it listens, how much it takes, how it runs the package."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from partwise.errors import InputError
from partwise.runtime.config import Config
from partwise.runtime.exactness import DIFFERENCE_LIMIT
from partwise.runtime.schedule import Policy

__all__ = ["API_KEY", "SERVER_POLICY", "ServeOptions"]

API_KEY = "PARTWISE_API_KEY"
"""The environment's variable with the key that a request must carry."""
_LAST_PORT = 65535  # RFC 9293: 16 bits; a larger one would be taken modulo 2^16
SERVER_POLICY = Policy(keep_going=True, divide=False, attempts=2, exclude_after=64, abandon_after=256)
"""A request that fails is as a rule to blame itself (a token outside the table), and anybody can send one: it must not
cost a worker its share for long, nor cut a stage in pieces. The figures are assumed; `faults` of a configuration
changes those that it names."""
_LEAST_KEY = 16
"""Characters of a key: 64 bits as hexadecimal (assumed least for a service that limits no guesses)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0: a free one."""
    name: str | None = None
    """Of the model in the routes; by default the package's own."""
    executor: str = "processes"
    engine: str | None = None
    """By default the one that the segments were cut for."""
    max_difference: float = DIFFERENCE_LIMIT
    """How far engines without an exact way may be from the exact one; looked at once, before the first request."""
    threads: int | None = None
    """Of each stage."""
    workers: int | None = None
    """By default one a stage."""
    in_flight: int | None = None
    """Batches under way at once; by default the executor's own."""
    max_batch: int = 1
    """Rows that are run together at most; 1 runs each request by itself."""
    batch_delay_s: float = 0.005
    """How long a request waits for others at most, where there is room for it."""
    max_body_bytes: int = 64 << 20
    max_queue: int = 256
    """Requests that wait at most; more are answered 503."""
    timeout_s: float = 60.0
    """For one request, waiting and running."""
    drain_s: float = 30.0
    """After a signal: how long requests that are here may take to be answered."""
    config: Config | None = None
    """Thresholds, bandwidth and the rest of what has no option of its own."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self, key: str | None) -> None:
        """Raise unless these go together.

        Raises:
            InputError: which option is wrong; or a host that others can reach, and no key or a short one.
        """
        for what, value, least in (
            ("port", self.port, 0),
            ("max batch", self.max_batch, 1),
            ("batch delay", self.batch_delay_s, 0),
            ("max body", self.max_body_bytes, 1),
            ("max queue", self.max_queue, 1),
            ("drain", self.drain_s, 0),
        ):
            if value < least:
                raise InputError(what, f"must be at least {least}", got=value)
        if self.port > _LAST_PORT:
            raise InputError("port", f"must be at most {_LAST_PORT}", got=self.port)
        if self.timeout_s <= 0:
            raise InputError("timeout", "must be more than 0 s", got=self.timeout_s)
        if not self.is_local and not key:
            raise InputError(f"host {self.host}", "others can reach it, so a key is needed",
                             hint=f"export {API_KEY}=$(openssl rand -hex 16)")  # fmt: skip
        if key is not None and len(key) < _LEAST_KEY:
            raise InputError(API_KEY, "is too short", expected=f"{_LEAST_KEY} characters or more", got=len(key))
