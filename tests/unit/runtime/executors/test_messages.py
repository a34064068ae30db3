"""Messages: whole records over a socket, or nothing."""

from __future__ import annotations

import socket
from collections.abc import Generator

import msgspec
import pytest

from partwise.errors import WorkerLostError
from partwise.runtime.executors.messages import DECODER, Channel, Failed, Message, Task
from partwise.runtime.schedule import Fault


@pytest.fixture
def ends() -> Generator[tuple[Channel[Message], Channel[Message]]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours, DECODER), Channel(theirs, DECODER)


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    sent = [Task(number, number, 0, {"batch": number}, (), (1, 2)) for number in range(5)]
    for message in sent:
        ours.send(message)
    assert theirs.receive() == sent[0]
    assert theirs.waiting() == sent[1:]


def test_a_message_in_pieces(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    message = Failed(0, None, Fault.ERROR, "EngineError", "a", "b" * 1000, None, "c", "")
    ours.send(message)
    data = theirs.connection.recv(1 << 16)
    for piece in (data[:2], data[2:9], data[9:-1]):
        ours.connection.send(piece)
        theirs.fill()
        assert theirs.waiting() == []
    ours.connection.send(data[-1:])
    assert theirs.receive() == message


def test_the_other_side_is_gone(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    ours.close()
    assert theirs.receive() is None
    with pytest.raises(WorkerLostError):
        theirs.send(Task(0, 0, 0, {}, (), ()))


def test_what_is_no_message_is_refused(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    data = msgspec.msgpack.encode({"type": "Exec", "code": "import os"})
    ours.connection.sendall(len(data).to_bytes(4) + data)
    with pytest.raises(msgspec.DecodeError):
        theirs.receive()


def test_a_length_that_cannot_be_is_refused(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    ours.connection.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(msgspec.DecodeError):
        theirs.receive()


def test_posting_never_waits(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    """To a side that is stopped, and reads nothing for now."""
    ours, theirs = ends
    message = Failed(0, None, Fault.ERROR, "EngineError", "a", "b" * 100_000, None, None, "")
    for _ in range(30):
        ours.post(message)
    assert not ours.is_sent
    found = list[object]()
    while len(found) < 30:
        theirs.fill()
        found += theirs.waiting()
        ours.flush()
    assert ours.is_sent
    assert found == [message] * 30


def test_posting_to_a_side_that_is_gone(ends: tuple[Channel[Message], Channel[Message]]) -> None:
    ours, theirs = ends
    theirs.close()
    ours.post(Failed(0, None, Fault.ERROR, "EngineError", "a", "b", None, None, ""))
    assert ours.is_sent
    assert not ours.fill()
