"""What a worker answers, looked at before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from partwise.errors import RunError
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.executors.messages import Packed, Parcel
from partwise.runtime.packet import Result
from partwise.runtime.remote import wire
from partwise.runtime.schedule import Compute
from partwise.runtime.trace import HandoverSpan, NodeSpan, SegmentSpan

__all__ = ["checked", "shifted"]

Span = TypeVar("Span", SegmentSpan, HandoverSpan, NodeSpan)


def checked(interfaces: Interfaces, task: Compute, sizes: Mapping[str, int], done: wire.Done, packet: Result) -> None:
    """Raise unless a result is one of its task: all that the stage sends, and what the model returns of it.

    Raises:
        PartwiseError: it is not; the message says why.
    """
    if (packet.request, packet.stage) != (task.request, task.stage):
        raise RunError(f"the answer to ticket {done.ticket}", "is of another task")
    packed = tuple(Packed(head.name, head.dtype, head.shape, head.order, 0, head.size) for head in done.heads)
    interfaces.check(task.stage, Parcel(task.stage, 0, 0, 0, packed, 0.0, 0.0), sizes)
    returned = {head.name: head for head in packet.tensors}
    if returned != {head.name: head for head in done.heads if head.name in interfaces.returned}:
        raise RunError(f"the answer to ticket {done.ticket}", "lacks an output of the model, or has another")


def shifted(span: Span, offset_s: float) -> Span:
    """A span of a worker's clock in the head's; off by the time that its message travelled at most."""
    return msgspec.structs.replace(span, start_s=span.start_s + offset_s, end_s=span.end_s + offset_s)
