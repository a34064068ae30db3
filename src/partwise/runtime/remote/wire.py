"""What the head and its workers tell each other over their links: a head of MessagePack, then frames of bytes.

    head → worker     Load, Unload, Task (+ a Work packet), Drop, Ping, Gone, Part (+ bytes), NoBlob
    worker → head     Ready or Refused for a Load; Done (+ a Result packet) or Failed for a Task; Pong; Ask for a Part
    worker → worker   Want, answered by Coming and Have (+ a Result packet) or Lack

Packets are those of docs/packet.md: nothing that carries a tensor has another form. Ask is the credit for a Part, Want
for a Have, a place in the schedule's queue for a Task: nobody sends what was not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from partwise.errors import RunError
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.packet import Frame, Number, TensorHead
from partwise.runtime.piece import PieceFile
from partwise.runtime.schedule import Fault
from partwise.runtime.stage import Weights
from partwise.runtime.trace import HandoverSpan, NodeSpan, SegmentSpan

__all__ = [
    "Admit", "Ask", "Coming", "Done", "Drop", "Failed", "Fetched", "Gone", "Have", "Lack", "Load", "NoBlob", "Part",
    "Ping", "Pong", "Ready", "Refused", "Source", "Task", "Unload", "Want", "Word", "decode", "encode",
]  # fmt: skip


class _Word(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    pass


class Source(msgspec.Struct, frozen=True):
    """Where values lie that a task reads."""

    stage: int
    names: tuple[str, ...]
    key: str
    """Of the worker that has them; it listens at the endpoint."""
    endpoint: str


class Load(_Word, frozen=True):
    """Make a stage ready."""

    stage: int
    engine: str
    threads: int
    weights: Weights = Weights.RESIDENT
    piece: PieceFile | None = None


class Unload(_Word, frozen=True):
    """Forget a stage."""

    stage: int


class Task(_Word, frozen=True):
    """Compute one request; the Work packet has what the head itself sends."""

    ticket: int
    sources: tuple[Source, ...]


class Drop(_Word, frozen=True):
    """Nobody reads what a stage sent for a request any more."""

    request: int
    stage: int


class Ping(_Word, frozen=True):
    """A sign of life is wanted."""


class Pong(_Word, frozen=True):
    """A sign of life."""

    now_s: float
    """The worker's clock."""


class Gone(_Word, frozen=True):
    """A worker is no more: nothing that was wanted of it will come."""

    key: str


class Admit(_Word, frozen=True):
    """A worker may ask for values."""

    key: str


class Fetched(msgspec.Struct, frozen=True):
    """What a stage's files took to get here."""

    fetched_bytes: int
    kept_bytes: int
    """That lay on the worker's disk already."""
    seconds: float
    sources: tuple[str, ...] = ()


class Ready(_Word, frozen=True):
    """A stage is ready."""

    stage: int
    settings: EngineSettings
    fetched: Fetched


class Refused(_Word, frozen=True):
    """A stage cannot be loaded; the parts of a `PartwiseError`."""

    stage: int
    fault: Fault
    error: str
    subject: str
    what: str
    expected: str | None = None
    got: str | None = None
    hint: str = ""


class Done(_Word, frozen=True):
    """A task is computed; the Result packet has what the model returns, the worker keeps the rest."""

    ticket: int
    heads: tuple[TensorHead, ...]
    """Of all that the stage sends."""
    now_s: float
    segment: SegmentSpan
    handovers: tuple[HandoverSpan, ...] = ()
    nodes: tuple[NodeSpan, ...] = ()


class Failed(_Word, frozen=True):
    """A task failed; the Failure packet says how."""

    ticket: int
    fault: Fault


class Want(_Word, frozen=True):
    """Values of a stage are wanted."""

    number: int
    request: int
    stage: int
    names: tuple[str, ...]


class Have(_Word, frozen=True):
    """Here they are."""

    number: int


class Coming(_Word, frozen=True):
    """A question has arrived; the answer follows, however long it takes."""

    number: int


class Lack(_Word, frozen=True):
    """They are not here."""

    number: int


class Ask(_Word, frozen=True):
    """Bytes of a blob are wanted."""

    digest: str
    offset: Number


class Part(_Word, frozen=True):
    """Here are some; `size` is that of the whole blob."""

    digest: str
    offset: Number
    size: Number


class NoBlob(_Word, frozen=True):
    """The head has no such blob."""

    digest: str


Word = (
    Load | Unload | Task | Drop | Ping | Pong | Gone | Admit | Ready | Refused | Done | Failed | Want | Coming | Have
    | Lack | Ask | Part | NoBlob
)  # fmt: skip
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Word)


def encode(word: Word, frames: Sequence[Frame] = ()) -> list[Frame]:
    """A word and the frames that follow it."""
    return [_ENCODER.encode(word), *frames]


def decode(frames: Sequence[memoryview]) -> tuple[Word, list[memoryview]]:
    """A word, and the frames that follow it.

    Raises:
        RunError: it is none.
    """
    try:
        return _DECODER.decode(frames[0] if frames else b""), list(frames[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError("message", f"is none of a member's ({error})") from None
