"""The sections of a configuration, `partwise.config/1`: docs/config.md says what each key does.

Every key has a default, so an empty section is no section. Amounts of memory are texts such as `12GiB`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from partwise.runtime.schedule import Policy
from partwise.runtime.stage import Weights

__all__ = [
    "CONFIG_VERSION", "Bandwidth", "Config", "Devices", "Execution", "Memory", "Pipelining", "Serve", "Telemetry",
    "Thresholds",
]  # fmt: skip

CONFIG_VERSION = "partwise.config/1"
Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who computes."""

    executor: Literal["processes", "in-process"] | None = None
    engine: str | None = None
    threads: Count | None = None
    workers: Count | None = None


class Devices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The static map: what runs where. A stage's own entry comes before those of its operations, and both before
    the default."""

    default: str = "cpu"
    """In the engine's own words, as `cuda:1`, or an engine with its device, as `openvino:GPU`."""
    stages: dict[int, str] = {}
    operations: dict[str, str] = {}
    """By operator name, as `aten.linear.default`, or a pattern of names, as `aten.*`."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When no more work is begun. `serve` answers 503; `run` waits."""

    queue: Count | None = None
    """Requests that wait at most (serve)."""
    load: Positive | None = None
    """Load average of the last minute, by processor."""
    memory: str | None = None
    """That the machine must have free."""
    temperature: Positive | None = None
    """Of the hottest sensor [°C]."""


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The governor of the memory bus."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    roof: str
    """Bytes a second that the bus can carry, as 47GB: `partwise calibrate` measures it."""
    providers: tuple[str, ...] = ("resctrl", "perf", "accounted")
    burst_ms: Positive = 50.0


class Pipelining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is under way at once."""

    in_flight: Count | None = None
    max_batch: Count | None = None
    """Rows of requests run together at most (serve)."""
    batch_delay_ms: NotNegative | None = None
    adaptive: bool = False
    """Let the bandwidth governor choose how many rows, up to `max_batch` (serve)."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be held."""

    budget: str | None = None
    """Of all stages on this machine together, as planned."""
    weights: Weights = Weights.RESIDENT
    """Each stage holds its own, or reads them again for each task."""
    pinned: bool = False
    """Page-locked memory for copies to a device; refused, see `apply`."""
    unified: bool = False
    """Memory that processor and device share; refused, see `apply`."""


class Telemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told."""

    trace: str | None = None
    """A file (run)."""
    trace_format: Literal["partwise", "perfetto"] | None = None
    trace_nodes: bool | None = None
    spans: Literal["otlp", "console", "none"] | None = None
    """OpenTelemetry."""
    ranges: Literal["nvtx", "itt"] | None = None


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server's own."""

    host: str | None = None
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    name: str | None = None
    max_body: str | None = None
    timeout_s: Positive | None = None
    drain_s: NotNegative | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration."""

    version: str
    package: str | None = None
    """Digest of the package that it is for, or the beginning of it; another one is refused."""
    execution: Execution = Execution()
    devices: Devices = Devices()
    thresholds: Thresholds = Thresholds()
    bandwidth: Bandwidth | None = None
    faults: Policy | None = None
    """What is done when something fails: the fields of `runtime.schedule.Policy`."""
    pipelining: Pipelining = Pipelining()
    memory: Memory = Memory()
    telemetry: Telemetry = Telemetry()
    serve: Serve = Serve()
