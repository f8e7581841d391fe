"""Where keys and callers are had from, who waits for them, and when they are read again."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from service.access import keys as keys_module
from service.access import watched_file
from service.access.fetching import fetch
from service.access.gate import Gate, GateSettings
from service.access.keys import KeySet
from service.access.roles import CallerLimits
from service.access.tokens import TokenRules
from tests.authority import AUDIENCE, ISSUER, CertificateAuthority, TokenIssuer
from tests.opening import nothing_can_be_opened
from tests.waiting import until

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")


@pytest.fixture
def issuer(tmp_path: Path) -> TokenIssuer:
    """An issuer with one key."""
    return TokenIssuer(tmp_path / "keys.json")


@contextlib.contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve at a URL."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def key_server(issuer: TokenIssuer) -> Iterator[str]:
    """A URL at which the issuer's keys are."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = issuer.file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _serving(Handler) as url:
        yield url


def test_keys_come_from_a_url(issuer: TokenIssuer, key_server: str) -> None:
    """As from a file."""
    assert list(KeySet(key_server, ALGORITHMS).current.by_id) == [issuer.newest]


@pytest.fixture
def redirecting_server(key_server: str) -> Iterator[str]:
    """Somebody who sends whoever asks on to the keys, by an address that others could have."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", key_server.replace("127.0.0.1", self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _serving(Handler) as url:
        yield url.removesuffix("/keys")


@pytest.mark.parametrize(("host", "keys_had"), [("127.0.0.1", ["key-1"]), ("127.1", [])])
def test_a_redirect_to_where_others_can_answer_is_not_followed(
    redirecting_server: str, host: str, keys_had: list[str]
) -> None:
    """As such a URL itself is not taken; 127.1 is the same machine by another name."""
    keys = KeySet(f"{redirecting_server}/{host}", ALGORITHMS)
    assert list(keys.current.by_id) == keys_had


class _Dripping(BaseHTTPRequestHandler):
    """Answers with keys that would be good, byte by byte, each long before anybody gives up."""

    where: str
    body: bytes
    was_taken: threading.Event
    was_left: threading.Event

    def do_GET(self) -> None:
        ok, found = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\nLocation: /\r\n"
        length = ok + f"Content-Length: {len(self.body)}\r\n".encode()
        parts = {
            "headers": (length, b"X: " + b"x" * 1000 + b"\r\n\r\n", self.body),
            "body": (length + b"\r\n", self.body[:1000], self.body[1000:]),
            "body of unknown length": (ok + b"\r\n", self.body[:1000], self.body[1000:]),
            "redirect": (found, b"X: " + b"x" * 1000, b"\r\n\r\n"),
        }  # fmt: skip
        before, slow, after = parts[self.where]
        try:
            self.wfile.write(before)
            for byte in slow:
                self.wfile.write(bytes([byte]))
                time.sleep(0.01)
            self.wfile.write(after)
        except OSError:
            self.was_left.set()
        else:
            self.was_taken.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("where", ["headers", "body", "body of unknown length", "redirect"])
def test_an_issuer_that_drips_is_left(
    issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What bounds the whole answer is shorter than that takes, and longer than any one wait."""
    monkeypatch.setattr(keys_module, "FETCH_SECONDS_MAX", 1.0)
    at, was_left_at, was_taken_at = where, threading.Event(), threading.Event()

    class Drip(_Dripping):
        where = at
        body = b" " * 1000 + issuer.file.read_bytes()
        was_left = was_left_at
        was_taken = was_taken_at

    with _serving(Drip) as url:
        keys = KeySet(url, ALGORITHMS)
    assert not keys.current.by_id
    assert Drip.was_left.is_set()
    assert not Drip.was_taken.is_set()


@pytest.mark.parametrize("where", ["headers", "body", "redirect"])
def test_an_issuer_that_answers_without_end_is_left(
    issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """So much may an answer have, with its headers and what a redirect says beside its address."""
    monkeypatch.setattr(keys_module, "BYTES_MAX", 100_000)
    written: list[int] = []
    data = issuer.file.read_bytes()

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = b"302 Found\r\nLocation: /keys" if where == "redirect" else b"200 OK"
            self.wfile.write(b"HTTP/1.1 " + status + b"\r\n")
            line = b"X: " + b"x" * 10_000 + b"\r\n" if where == "headers" else b" " * 10_000
            with contextlib.suppress(OSError):
                if where != "headers":
                    self.wfile.write(b"\r\n")
                for count in range(90 if where == "headers" else 10_000):
                    self.wfile.write(line)
                    written.append(count)
                self.wfile.write(b"\r\n" + data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _serving(Endless) as url:
        keys = KeySet(url, ALGORITHMS)
    assert not keys.current.by_id
    if where != "headers":
        assert len(written) < 10_000


def test_what_is_no_answer_at_all_is_no_set_of_keys() -> None:
    """It is tried again, as when nobody answers."""

    class Babbling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"220 mail.example ESMTP\r\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _serving(Babbling) as url:
        assert not KeySet(url, ALGORITHMS).current.by_id


def test_keys_come_by_tls_from_whom_the_authority_vouches_for(
    issuer: TokenIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from anybody else."""
    data = issuer.file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    authority = CertificateAuthority(tmp_path)
    pair = authority.issue("issuer", addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_port}/keys"
        assert not KeySet(url, ALGORITHMS).current.by_id
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert list(KeySet(url, ALGORITHMS).current.by_id) == ["key-1"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_call_waits_for_no_name_that_takes_long_to_be_looked_up(
    issuer: TokenIssuer, key_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing bounds the system's resolver; the key counts once it has answered."""
    keys = KeySet(key_server, ALGORITHMS)
    issuer.add_key("key-2")
    found = threading.Event()
    look_up = fetch

    def late(*asked: Any) -> bytes:
        found.wait(30)
        return look_up(*asked)

    monkeypatch.setattr(keys_module, "fetch", late)
    monkeypatch.setattr(keys_module, "FETCH_SECONDS_MAX", 0.1)
    monkeypatch.setattr(keys_module, "UNKNOWN_KEY_REFRESH_SECONDS", 0.0)
    keys.refresh_for_unknown_key()
    # Nobody waits for who asks already.
    keys.refresh_for_unknown_key()
    assert not found.is_set()
    assert "key-2" not in keys.current.by_id
    monkeypatch.setattr(keys_module, "FETCH_SECONDS_MAX", 30.0)
    found.set()
    until(lambda: "key-2" in keys.current.by_id)


def _gate(token_keys: str, callers_file: Path) -> Gate:
    rules = TokenRules(ISSUER, AUDIENCE, ALGORITHMS, 5.0, "roles")
    settings = GateSettings(
        has_certificates=False,
        callers_file=str(callers_file),
        token_keys=token_keys,
        token_rules=rules,
        limits=CallerLimits(),
    )
    return Gate(settings, lambda *_: True)


def _callers(file: Path, name: str) -> None:
    file.write_text(f"callers: [{{name: {name}, token: {{subject: s}}, roles: [decision.read]}}]")


class _Called:
    """What the gate is told of a call by a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._token}")]

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


def _name(gate: Gate, token: str) -> str:
    caller, _ = gate.enter("/maywe.v1.DecisionService/MayContact", _Called(token))  # type: ignore[arg-type]
    return caller.name


def test_the_file_of_callers_does_not_wait_for_the_issuer(
    issuer: TokenIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose keys are a duty of their own."""
    asked: list[str] = []
    data = issuer.file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setattr(keys_module, "URL_REFRESH_SECONDS", 0.0)
    file = tmp_path / "callers.yaml"
    _callers(file, "before")
    token = issuer.token([], "s")
    with _serving(Handler) as url:
        gate = _gate(url, file)
        assert _name(gate, token) == "before"
        _callers(file, "after")
        gate.refresh()
        assert _name(gate, token) == "after"
        assert len(asked) == 1
        gate.refresh_keys()
        assert len(asked) == 2


def test_a_file_of_callers_that_could_not_be_opened_once_is_opened_again(
    issuer: TokenIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has not changed since."""
    monkeypatch.setattr(watched_file, "RETRY_SECONDS", 0.0)
    file = tmp_path / "callers.yaml"
    _callers(file, "before")
    gate = _gate(str(issuer.file), file)
    token = issuer.token([], "s")
    _callers(file, "after")
    with nothing_can_be_opened():
        gate.refresh()
    assert _name(gate, token) == "before"
    gate.refresh()
    assert _name(gate, token) == "after"
