"""What a parent and its workers tell each other: small headers as MessagePack; tensor bytes stay in shared memory.

    parent → worker    Load, then any number of Task
    worker → parent    Loaded, then one Done a task; Failed instead of either ends it

Each message is one frame on a socket: its length as 4 bytes, big-endian, then its MessagePack. No pickle anywhere:
a message is one of the records below or it is refused.
"""

from __future__ import annotations

import socket
import struct

import msgspec

from partwise.errors import WorkerLostError
from partwise.ir import DType
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.trace import HandoverSpan, NodeSpan, Probe, SegmentSpan

__all__ = ["Channel", "Done", "Failed", "Load", "Loaded", "Message", "Packed", "Parcel", "Task"]

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 16


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """One tensor in a slot of shared memory."""

    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    order: tuple[int, ...]
    """Dims from the largest stride to the smallest: the layout of the bytes."""
    offset: int
    """Bytes from the slot's start, a multiple of 64."""
    size: int
    """Bytes."""


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """What one sender sends for one request: tensors in one slot of its memory."""

    sender: int
    slot: int
    """Where the slot starts in the sender's memory [bytes]."""
    capacity: int
    """Bytes of the slot."""
    tensors: tuple[Packed, ...]
    start_s: float
    """When the sender began to write [s of the machine's monotonic clock]."""
    copy_s: float
    """How long it wrote."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Become a stage."""

    package: str
    digest: str
    stage: int
    engine: str
    threads: int
    memory: dict[int, int]
    """File descriptor of the shared memory of each sender, this stage included."""
    probe: Probe


class Task(msgspec.Struct, frozen=True, tag=True):
    """Compute one request."""

    request: int
    sizes: dict[str, int]
    parcels: tuple[Parcel, ...]
    """What to read, tensors for this stage only."""
    released: tuple[int, ...]
    """Slots of this stage's memory that everyone has read."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The stage is ready."""

    settings: EngineSettings


class Done(msgspec.Struct, frozen=True, tag=True):
    """A task is computed, and its outputs lie in a slot."""

    request: int
    parcel: Parcel
    segment: SegmentSpan
    handovers: tuple[HandoverSpan, ...]
    nodes: tuple[NodeSpan, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Something went wrong; the parts of a `PartwiseError`."""

    error: str
    subject: str
    what: str
    expected: str | None
    got: str | None
    hint: str


Message = Load | Task | Loaded | Done | Failed
_DECODER = msgspec.msgpack.Decoder(Message)
_ENCODER = msgspec.msgpack.Encoder()


class Channel:
    """Messages over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = bytearray()

    def send(self, message: Message) -> None:
        """Send a message; waits while the other side's buffer is full.

        Raises:
            WorkerLostError: the other side is gone.
        """
        data = _ENCODER.encode(message)
        try:
            self.connection.sendall(_LENGTH.pack(len(data)) + data)
        except OSError:
            raise WorkerLostError("channel", "the other side is gone") from None

    def receive(self) -> Message | None:
        """The next message, waiting for it; None when the other side is gone."""
        while (message := self._take()) is None:
            if not self.fill():
                return None
        return message

    def waiting(self) -> list[Message]:
        """All messages that have arrived in whole."""
        found = list[Message]()
        while (message := self._take()) is not None:
            found.append(message)
        return found

    def fill(self) -> bool:
        """Read what has arrived, waiting for something; False when the other side is gone."""
        try:
            data = self.connection.recv(_READ_BYTES)
        except OSError:
            return False
        self._received += data
        return bool(data)

    def close(self) -> None:
        """Hang up: the other side ends."""
        self.connection.close()

    def _take(self) -> Message | None:
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        data = bytes(self._received[_LENGTH.size : end])
        del self._received[:end]
        return _DECODER.decode(data)
