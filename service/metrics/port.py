"""The address of metrics: one path over HTTP, for whoever scrapes.

What lives here: a small server with bounds, which reads no more of a request than its head. It is
unencrypted and for anybody who can reach it: there is nothing of any person in what it tells, and
how much business there is may be read from it.
"""

import logging
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

PATH: Final = "/metrics"
NOWHERE: Final = "off"
"""The setting by which there is no such address."""

REQUEST_SECONDS_MAX: Final = 5.0
"""How long a connection may take for all it has to send, and to take what it is sent."""

REQUESTS_MAX: Final = 8
"""More at once are closed without an answer."""

_logger = logging.getLogger(__name__)


class MetricsListenError(Exception):
    """Metrics can not be told where they should be."""


@contextmanager
def metrics_port(
    registry: CollectorRegistry,
    listen: str,
    *,
    request_seconds_max: float = REQUEST_SECONDS_MAX,
) -> Iterator[str]:
    """Tell metrics on HOST:PORT as long as the context lasts, and give where; empty for nowhere.

    Port 0 chooses a free one. A connection ends after `request_seconds_max`, whatever it does.
    Raises MetricsListenError.
    """
    if listen == NOWHERE:
        yield ""
        return
    host, _, port = listen.rpartition(":")
    try:
        server = _Server(host.strip("[]"), int(port), registry, request_seconds_max)
    except OSError as error:
        message = f"cannot tell metrics on {listen}: is the address ours, and the port free?"
        raise MetricsListenError(message) from error
    address = f"{host}:{server.server_address[1]}"
    _logger.info("metrics are told at http://%s%s", address, PATH)
    thread = threading.Thread(
        target=server.serve_forever, name="maywe metrics port", kwargs={"poll_interval": 0.1}
    )
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    # Whoever scrapes slowly does not keep the process from ending.
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, request_seconds_max: float
    ) -> None:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        self.registry = registry
        self._request_seconds_max = request_seconds_max
        self._places = threading.Semaphore(REQUESTS_MAX)
        super().__init__(place[:2], _Handler)  # type: ignore[arg-type]  # the host is text

    def server_bind(self) -> None:
        """Bind, without asking name servers for what the address is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "maywe", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the class above has it
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        # For the connection as a whole: a socket's own limit begins anew with every byte.
        deadline = threading.Timer(self._request_seconds_max, _end, [request])
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Say it where logs are read, without whom it happened to."""
        _logger.debug("a scrape of metrics failed", exc_info=True)  # noqa: LOG014 - called in a handler


def _end(connection: socket.socket) -> None:
    """End a connection under whoever reads from it or writes to it."""
    # It may have been closed meanwhile.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server_version = "maywe"
    sys_version = ""

    def do_GET(self) -> None:
        """Tell all there is."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - for types: nobody else has this handler
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        content = encode(server.registry)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as the class above has it
        """Log no scrapes: there is one every few seconds."""
