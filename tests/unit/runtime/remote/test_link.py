"""Links: authenticated at both ends, encrypted between them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import pytest

from partwise.runtime.remote.link import Link

Heard = SimpleQueue[tuple[str, list[bytes]]]


def make(*, listen: bool) -> tuple[Link, Heard]:
    heard: Heard = SimpleQueue()
    link = Link(
        lambda key, frames: heard.put((key, [bytes(frame) for frame in frames])), listen="127.0.0.1" if listen else None
    )
    return link, heard


@pytest.fixture
def pair() -> Iterator[tuple[Link, Heard, Link, Heard]]:
    """A listener, and one that is not introduced to it yet."""
    (server, at_server), (client, at_client) = make(listen=True), make(listen=False)
    yield server, at_server, client, at_client
    client.close()
    server.close()


def silent(heard: Heard) -> bool:
    try:
        heard.get(timeout=0.4)
    except Empty:
        return True
    return False


def test_messages_go_both_ways_under_their_senders_keys(pair: tuple[Link, Heard, Link, Heard]) -> None:
    server, at_server, client, at_client = pair
    assert server.endpoint
    server.admit(client.key)
    client.connect(server.key, server.endpoint)
    large = bytes(range(256)) * 20_000
    client.send(server.key, [b"one", large, b""])
    assert at_server.get(timeout=5) == (client.key, [b"one", large, b""])
    server.send(client.key, [b"two"])
    assert at_client.get(timeout=5) == (server.key, [b"two"])
    assert client.heard_s(server.key) is not None
    server.forget(client.key)
    client.send(server.key, [b"three"])
    assert silent(at_server)


def test_a_key_that_was_not_introduced_is_not_heard_until_it_is(pair: tuple[Link, Heard, Link, Heard]) -> None:
    server, at_server, client, _ = pair
    assert server.endpoint
    client.connect(server.key, server.endpoint)
    client.send(server.key, [b"x"])
    assert silent(at_server)
    assert client.heard_s(server.key) is None
    server.admit(client.key)
    client.reconnect(server.key, server.endpoint)
    client.send(server.key, [b"y"])
    assert at_server.get(timeout=5) == (client.key, [b"y"])


def test_who_connected_too_early_is_answered_over_the_others_connection() -> None:
    (one, at_one), (two, at_two) = make(listen=True), make(listen=True)
    try:
        assert one.endpoint
        assert two.endpoint
        two.connect(one.key, one.endpoint)
        two.send(one.key, [b"too early"])
        assert silent(at_one)
        one.admit(two.key)
        two.admit(one.key)
        one.connect(two.key, two.endpoint)
        one.send(two.key, [b"question"])
        assert at_two.get(timeout=5) == (one.key, [b"question"])
        two.send(one.key, [b"answer"])
        assert at_one.get(timeout=5) == (two.key, [b"answer"])
    finally:
        one.close()
        two.close()


def test_a_listener_with_another_key_gets_nothing(pair: tuple[Link, Heard, Link, Heard]) -> None:
    """Who has taken over an address has not taken over its key."""
    server, at_server, client, _ = pair
    imposter, at_imposter = make(listen=True)
    try:
        assert imposter.endpoint
        imposter.admit(client.key)
        client.connect(server.key, imposter.endpoint)
        client.send(server.key, [b"secret"])
        assert silent(at_imposter)
        assert silent(at_server)
    finally:
        imposter.close()


def test_a_plain_connection_is_refused(pair: tuple[Link, Heard, Link, Heard]) -> None:
    import zmq

    server, at_server, *_ = pair
    assert server.endpoint
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(server.endpoint)
        plain.send(b"let me in")
        assert silent(at_server)


def test_no_byte_of_a_message_is_readable_on_the_way(pair: tuple[Link, Heard, Link, Heard]) -> None:
    server, at_server, client, _ = pair
    assert server.endpoint
    host, _, port = server.endpoint.removeprefix("tcp://").rpartition(":")
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_relay, args=(door, (host, int(port)), seen), daemon=True).start()
        server.admit(client.key)
        client.connect(server.key, f"tcp://127.0.0.1:{door.getsockname()[1]}")
        client.send(server.key, [b"a tensor" * 1000])
        assert at_server.get(timeout=5) == (client.key, [b"a tensor" * 1000])
    assert len(seen) > 8000
    assert b"tensor" not in seen


def _relay(door: socket.socket, target: tuple[str, int], seen: bytearray) -> None:
    """A wire that somebody listens to."""
    inner, _ = door.accept()
    outer = socket.create_connection(target)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                seen.extend(data)
                sink.sendall(data)
        except OSError:
            pass
        sink.close()

    back = threading.Thread(target=pump, args=(outer, inner), daemon=True)
    back.start()
    pump(inner, outer)
    back.join(2)
    outer.close()
    inner.close()


def test_closing_twice_and_sending_after_do_no_harm() -> None:
    link, _ = make(listen=True)
    link.close()
    link.close()
    link.send("nobody", [b"x"])
