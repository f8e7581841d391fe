"""The proxy between two parts: it carries, cuts, stalls, delays and heals."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.faults.proxies import Links, running_links

SECONDS_MAX = 10.0
PATIENCE_SECONDS = 0.2
DELAY_MILLISECONDS = 150


@pytest.fixture
def links() -> Iterator[Links]:
    """A proxy without links."""
    with running_links() as running:
        yield running


def test_a_link_carries_both_ways(links: Links) -> None:
    """What goes in at one end comes out at the other, however much it is."""
    with _echo() as port, _connected(links.open("link", port)) as client:
        data = bytes(range(256)) * 20_000
        threading.Thread(target=client.sendall, args=(data,)).start()
        assert _received(client, len(data)) == data


def test_a_cut_link_closes_connections_and_takes_none(links: Links) -> None:
    """Whoever was connected is cut off, and so is whoever comes, until it heals."""
    with _echo() as port:
        entry = links.open("link", port)
        with _connected(entry) as client:
            assert _echoed(client, b"before")
            links.cut("link")
            assert _is_broken(client)
        # It may be refused or reset before it is even made.
        with suppress(ConnectionError), _connected(entry) as client:
            assert _is_broken(client)
        links.heal("link")
        with _connected(entry) as client:
            assert _echoed(client, b"after")


def test_a_stalled_link_holds_everything_until_it_heals(links: Links) -> None:
    """Connections stay; what was sent meanwhile arrives afterwards, in order."""
    with _echo() as port, _connected(links.open("link", port)) as client:
        assert _echoed(client, b"before")
        links.stall("link")
        client.sendall(b"meanwhile")
        client.settimeout(PATIENCE_SECONDS)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(SECONDS_MAX)
        links.heal("link")
        assert _received(client, len(b"meanwhile")) == b"meanwhile"


def test_a_delayed_link_is_late_each_way(links: Links) -> None:
    """There and back takes at least twice the delay."""
    with _echo() as port, _connected(links.open("link", port)) as client:
        links.delay("link", DELAY_MILLISECONDS)
        began_at = time.monotonic()
        assert _echoed(client, b"late")
        assert time.monotonic() - began_at >= 2 * DELAY_MILLISECONDS / 1000


def test_a_link_can_lead_elsewhere(links: Links) -> None:
    """After a fail-over whoever connects reaches the new target."""
    with _echo(b"one:") as first, _echo(b"two:") as second:
        entry = links.open("link", first)
        links.point("link", second)
        with _connected(entry) as client:
            client.sendall(b"?")
            assert _received(client, 5) == b"two:?"


@contextmanager
def _echo(prefix: bytes = b"") -> Iterator[int]:
    """Serve on a port of loopback: what comes goes back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, prefix), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, prefix: bytes) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_serve_one, args=(client, prefix), daemon=True).start()


def _serve_one(client: socket.socket, prefix: bytes) -> None:
    with client:
        try:
            while data := client.recv(65536):
                client.sendall(prefix + data)
        except OSError:
            return


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS_MAX)


def _echoed(client: socket.socket, data: bytes) -> bool:
    client.sendall(data)
    return _received(client, len(data)) == data


def _received(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += client.recv(length - len(data))
    return data


def _is_broken(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
