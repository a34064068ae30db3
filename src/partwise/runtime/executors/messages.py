"""What a parent and its workers tell each other: small headers as MessagePack; tensor bytes stay in shared memory.

    parent → worker    Begin, then any number of Load, Unload and Task
    worker → parent    Loaded for a Load and Done for a Task, or Failed for either; the worker goes on

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
from partwise.runtime.piece import PieceFile
from partwise.runtime.schedule import Fault
from partwise.runtime.stage import Weights
from partwise.runtime.trace import HandoverSpan, NodeSpan, Probe, SegmentSpan

__all__ = ["Begin", "Channel", "Done", "Failed", "Load", "Loaded", "Message", "Packed", "Parcel", "Task", "Unload"]

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 16
_MOST_BYTES = 1 << 30
"""Of a message: the graph of a piece is the largest; a length above this is a lie (assumed)."""


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
    """The stage, or the caller."""
    memory: int
    """Whose memory it lies in: a worker's, or the caller's."""
    slot: int
    """Where the slot starts in that memory [bytes]."""
    capacity: int
    """Bytes of the slot."""
    tensors: tuple[Packed, ...]
    start_s: float
    """When the sender began to write [s of the machine's monotonic clock]."""
    copy_s: float
    """How long it wrote."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """What every stage of a worker shares."""

    package: str
    digest: str
    worker: int
    memory: dict[int, int]
    """File descriptor of the shared memory of each worker, and of the caller."""
    probe: Probe
    end: int = 0
    """Bytes of this worker's memory that the process before it has used."""
    slots: tuple[tuple[int, int, bool], ...] = ()
    """What lies there: (slot, capacity, whether nobody reads it any more)."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Make a stage ready."""

    stage: int
    engine: str
    threads: int
    weights: Weights = Weights.RESIDENT
    piece: PieceFile | None = None
    """What to load where it is no segment of the package, but a part of one."""


class Unload(msgspec.Struct, frozen=True, tag=True):
    """Forget a stage."""

    stage: int


class Task(msgspec.Struct, frozen=True, tag=True):
    """Compute one request."""

    ticket: int
    request: int
    stage: int
    sizes: dict[str, int]
    parcels: tuple[Parcel, ...]
    """What to read, tensors for this stage only."""
    released: tuple[int, ...]
    """Slots of this worker's memory that everyone has read."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The stage is ready."""

    stage: int
    settings: EngineSettings


class Done(msgspec.Struct, frozen=True, tag=True):
    """A task is computed, and its outputs lie in a slot."""

    ticket: int
    parcel: Parcel
    segment: SegmentSpan
    handovers: tuple[HandoverSpan, ...]
    nodes: tuple[NodeSpan, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Something went wrong; the parts of a `PartwiseError`, and what kind of fault it is."""

    stage: int
    ticket: int | None
    """None: the stage could not be loaded."""
    fault: Fault
    error: str
    subject: str
    what: str
    expected: str | None
    got: str | None
    hint: str


Message = Begin | Load | Unload | Task | Loaded | Done | Failed
_DECODER = msgspec.msgpack.Decoder(Message)
_ENCODER = msgspec.msgpack.Encoder()


class Channel:
    """Messages over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = bytearray()
        self._unsent = bytearray()

    def post(self, message: Message) -> None:
        """Send a message without waiting, to a side that may be stopped or gone; `flush` sends what is left."""
        data = _ENCODER.encode(message)
        self._unsent += _LENGTH.pack(len(data)) + data
        self.flush()

    @property
    def is_sent(self) -> bool:
        """Whether everything posted has been sent."""
        return not self._unsent

    def flush(self) -> None:
        """Send as much of what was posted as the other side has room for."""
        try:
            while self._unsent:
                sent = self.connection.send(self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # gone: reading from it says so

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
        if length > _MOST_BYTES:
            raise msgspec.ValidationError(f"a message of {length} bytes")
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        data = bytes(self._received[_LENGTH.size : end])
        del self._received[:end]
        return _DECODER.decode(data)
