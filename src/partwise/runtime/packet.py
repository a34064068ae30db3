"""What travels between machines: a task to a worker, and its result or failure back. Specified in docs/packet.md.

A packet is a header, one MessagePack map, and one frame of raw bytes a tensor: nothing in it is code, nothing is
pickled. Whatever a stranger sends is refused with a `RunError` or is exactly one of the records below, with arrays of
the stated types, shapes and layouts in memory of our own. Whether they fit a stage is for `runtime.sizes` to say.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated

import msgspec
import numpy as np

from partwise.errors import RunError
from partwise.ir import DType
from partwise.packaging.arrays import dense, from_bytes, is_possible, numpy_dtype, stride_order, tensor_digest
from partwise.runtime.engines.engine import EngineSettings

__all__ = [
    "LIMITS", "PACKET_VERSION", "Failure", "Frame", "Number", "Packet", "Result", "TensorHead", "Work", "decode_packet",
    "encode_packet", "join_frames", "packet_schema", "split_frames", "tensor_heads",
]  # fmt: skip

PACKET_VERSION = "partwise.packet/1"
LIMITS = {"header": 1 << 20, "tensors": 4096, "dims": 64, "name": 1024, "size": 1 << 48, "bytes": 1 << 36}
"""Bytes of a header, tensors of a packet, dims of a tensor (numpy's own limit), characters of a name, one size, and
bytes of all tensors unless the receiver sets fewer. All but numpy's are assumed: far above what a model needs."""
_MAGIC = b"PWP1"
_START = struct.Struct("<4sI")
_NO_BYTES = frozenset({DType.STRING, DType.OPAQUE})
_LARGEST = {DType.BOOL: 1, DType.UINT4: 15, DType.INT4: 15}
"""Values that a byte may have where not all 256 are elements of the type."""

Frame = bytes | bytearray | memoryview
Name = Annotated[str, msgspec.Meta(max_length=LIMITS["name"])]
Size = Annotated[int, msgspec.Meta(ge=0, le=LIMITS["size"])]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$", max_length=32)]
TraceParent = Annotated[str, msgspec.Meta(pattern=r"^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$", max_length=55)]


class TensorHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tensor of a packet; its bytes are the frame of the same number."""

    name: Name
    dtype: DType
    shape: Annotated[tuple[Size, ...], msgspec.Meta(max_length=LIMITS["dims"])]
    order: Annotated[tuple[Size, ...], msgspec.Meta(max_length=LIMITS["dims"])]
    """Dims from the largest stride to the smallest: the layout of the bytes."""
    size: Size
    """Bytes of the frame."""
    digest: Digest | None = None
    """Of the value, as in a run's record; None where the channel itself vouches for every byte."""


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="work"):
    """A task: compute one stage for one request."""

    version: str = PACKET_VERSION
    run: Id
    """Of the stream that the request belongs to."""
    package: Digest
    stage: Number
    request: Number
    attempt: Number = 0
    """0 for the first; an answer to an earlier attempt is as good, since the bits are the same."""
    deadline_s: Annotated[float, msgspec.Meta(gt=0, lt=1e9)] | None = None
    """How long the result is wanted, from the receipt on: clocks of two machines differ."""
    trace: TraceParent = ""
    """W3C trace context, `traceparent` (w3.org/TR/trace-context); empty for none."""
    sizes: Annotated[dict[Name, Size], msgspec.Meta(max_length=256)]
    tensors: Annotated[tuple[TensorHead, ...], msgspec.Meta(max_length=LIMITS["tensors"])] = ()


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="result"):
    """A task is computed."""

    version: str = PACKET_VERSION
    run: Id
    package: Digest
    stage: Number
    request: Number
    attempt: Number = 0
    settings: EngineSettings
    """What the worker's engine claims about how it computed."""
    compute_s: Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
    trace: TraceParent = ""
    tensors: Annotated[tuple[TensorHead, ...], msgspec.Meta(max_length=LIMITS["tensors"])] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="failure"):
    """A task could not be computed; the parts of a `PartwiseError`."""

    version: str = PACKET_VERSION
    run: Id
    package: Digest
    stage: Number
    request: Number
    attempt: Number = 0
    error: Name
    subject: str
    what: str
    expected: str | None = None
    got: str | None = None
    hint: str = ""
    trace: TraceParent = ""
    tensors: Annotated[tuple[TensorHead, ...], msgspec.Meta(max_length=0)] = ()


Packet = Work | Result | Failure


class _Versioned(msgspec.Struct):
    version: str


_DECODER = msgspec.msgpack.Decoder(Packet)
_VERSION = msgspec.msgpack.Decoder(_Versioned)
_ENCODER = msgspec.msgpack.Encoder()


def tensor_heads(values: Mapping[str, np.ndarray], *, digests: bool = True) -> tuple[TensorHead, ...]:
    """What a header says of values, in their order."""
    return tuple(
        TensorHead(
            name=name,
            dtype=DType(value.dtype.name),
            shape=value.shape,
            order=stride_order(value),
            size=value.nbytes,
            digest=tensor_digest(value) if digests else None,
        )
        for name, value in values.items()
    )


def encode_packet(packet: Packet, values: Mapping[str, np.ndarray] | None = None) -> list[Frame]:
    """A packet as frames: the header, then each tensor's bytes in memory order.

    Args:
        packet: whose `tensors` are `tensor_heads(values)`.
        values: by name; none for a failure.
    """
    given = values or {}
    return [_ENCODER.encode(packet), *(_bytes_of(given[head.name]) for head in packet.tensors)]


def decode_packet(frames: Sequence[Frame], *, max_bytes: int = LIMITS["bytes"]) -> tuple[Packet, dict[str, np.ndarray]]:
    """A packet from frames, and its values in aligned memory of our own; nothing is allocated before it is checked.

    Raises:
        RunError: it breaks the format; the message says where.
    """
    packet = _header(frames[0] if frames else b"")
    if len(frames) != len(packet.tensors) + 1:
        raise RunError("packet", "has another number of frames", expected=len(packet.tensors) + 1, got=len(frames))
    if sum(head.size for head in packet.tensors) > max_bytes:
        raise RunError("packet", f"is larger than the {max_bytes} bytes that are taken")
    names = [head.name for head in packet.tensors]
    if len(set(names)) != len(names):
        raise RunError("packet", "names a tensor twice")
    for head, frame in zip(packet.tensors, frames[1:], strict=True):
        _check(head, memoryview(frame).nbytes)
    pairs = zip(packet.tensors, frames[1:], strict=True)
    return packet, {head.name: _value(head, memoryview(frame).cast("B")) for head, frame in pairs}


def join_frames(frames: Sequence[Frame]) -> bytes:
    """Frames as one string of bytes, for a file or a stream."""
    return b"".join((_START.pack(_MAGIC, len(frames[0])), *frames))


def split_frames(data: Frame) -> list[Frame]:
    """The frames of such a string; the header says how long each is.

    Raises:
        RunError: it is none, or is longer or shorter than its header says.
    """
    view = memoryview(data).cast("B")
    if len(view) < _START.size or bytes(view[:4]) != _MAGIC:
        raise RunError("packet", "does not begin as one", expected=_MAGIC.decode(), got=bytes(view[:4]))
    _, length = _START.unpack_from(view)
    end = _START.size + length
    if end > len(view):
        raise RunError("packet", "its header is longer than all of it", expected=len(view) - _START.size, got=length)
    header = view[_START.size : end]
    frames: list[Frame] = [header]
    for head in _header(header).tensors:
        frames.append(view[end : end + head.size])
        end += head.size
    if end != len(view):
        raise RunError("packet", "its length is not what its header says", expected=end, got=len(view))
    return frames


def packet_schema() -> dict[str, object]:
    """JSON Schema of the header (2020-12), as published beside docs/packet.md."""
    return msgspec.json.schema(Packet)


def _header(data: Frame) -> Packet:
    if len(data) > LIMITS["header"]:
        raise RunError("packet", "its header is too long", expected=f"at most {LIMITS['header']}", got=len(data))
    try:
        version = _VERSION.decode(data).version
        if version != PACKET_VERSION:
            raise RunError("packet", "is of another version", expected=PACKET_VERSION, got=version[:80])
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError("packet", f"its header is none ({error})") from None


def _check(head: TensorHead, length: int) -> None:
    subject = f"packet, tensor `{head.name}`"
    if head.dtype in _NO_BYTES:
        raise RunError(subject, "is of a type that does not travel", got=head.dtype)
    if sorted(head.order) != list(range(len(head.shape))):
        raise RunError(subject, "its order is none of its dims", got=list(head.order))
    expected = prod(head.shape) * numpy_dtype(head.dtype).itemsize
    if head.size != expected or length != expected:
        raise RunError(subject, "its bytes are not those of its shape", expected=expected,
                       got=f"{head.size} stated, {length} sent")  # fmt: skip
    if not is_possible(head.shape):
        raise RunError(subject, "its shape is that of no tensor", got=list(head.shape))


def _value(head: TensorHead, frame: memoryview) -> np.ndarray:
    subject, raw = f"packet, tensor `{head.name}`", np.frombuffer(frame, np.uint8)
    largest = _LARGEST.get(head.dtype)
    if largest is not None and (raw > largest).any():
        raise RunError(subject, "holds bytes that are no elements of its type", expected=head.dtype)
    value = from_bytes(frame, head.dtype, head.shape, head.order)
    if head.digest is not None and tensor_digest(value) != head.digest:
        raise RunError(subject, "is not the value that its digest names")
    return value


def _bytes_of(value: np.ndarray) -> memoryview:
    return dense(value).reshape(-1).view(np.uint8).data
