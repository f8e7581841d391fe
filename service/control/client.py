"""The client of control servers: telling decision processes what was taken away.

What lives here: connections to processes, one call at a time on each, and what becomes of a call.
Whom to tell, how often, and when it may be left alone is `service.effectuation`'s business.
"""

import logging
import threading
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import grpc

from service.access.watched_file import Look, look_at
from service.control.messages import (
    MESSAGE_BYTES_MAX,
    RAISE_FLOORS,
    SERVICE,
    RaiseFloorsRequest,
    encode_request,
)
from service.tls import TlsError, TlsFiles, channel_credentials, control_channel_options
from store.floors import Narrowing

TRY_SECONDS_MAX: Final = 1.0
"""How long a call may take before its connection is given up and the next try begins."""

FLOORS_PER_CALL_MAX: Final = 20_000
"""Beyond so many floors, what waits is left to the call after the next; one narrowing is whole."""

RECONNECT_MILLISECONDS: Final = 100
"""How soon a broken connection is tried again: as soon as gRPC allows. A lease is not longer for a
process that was out of reach for a moment."""

CONNECT_MILLISECONDS_MAX: Final = 1000

_OPTIONS: Final = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MILLISECONDS),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS),
    # In spite of its name, how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", CONNECT_MILLISECONDS_MAX),
    # Otherwise a channel may go on with a connection that another one has given up.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy of the environment is not meant for the installation's own network.
    ("grpc.enable_http_proxy", 0),
)

_logger = logging.getLogger(__name__)


class Process(NamedTuple):
    """A decision process and where it listens."""

    process_id: str
    address: str


class _Telling(NamedTuple):
    """A narrowing to be told, and who is to be told whether it was."""

    narrowing: Narrowing
    done: Callable[[bool], None]


class ControlClient:
    """Tells processes of narrowings. Safe to be used by several threads."""

    def __init__(self, tls_files: TlsFiles | None = None) -> None:
        """Begin without connections; with `tls_files` processes have to be the installation's."""
        self._tls_files = tls_files
        self._lock = threading.Lock()
        self._lanes: dict[tuple[Process, bool], _Lane] = {}

    def tell(self, process: Process, narrowing: Narrowing, done: Callable[[bool], None]) -> None:
        """Tell a process once; `done` is called with whether it answered that it heeds it.

        `done` is called within about TRY_SECONDS_MAX of the call that takes the narrowing along,
        in a thread that MUST NOT be held up. False says nothing: it may heed it all the same.
        """
        # A publication is answered when its catalog is loaded, for which no customer should wait.
        key = process, bool(narrowing.publication)
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = _Lane(process, self._tls_files)
        lane.tell(_Telling(narrowing, done))

    def keep_only(self, processes: Collection[Process]) -> None:
        """Close the connections to all other processes; one that is told again gets a new one."""
        with self._lock:
            gone = [key for key in self._lanes if key[0] not in processes]
            lanes = [self._lanes.pop(key) for key in gone]
        for lane in lanes:
            lane.close()

    def close(self) -> None:
        """Close every connection; what is under way has failed."""
        self.keep_only(())


class _Lane:
    """A connection with one call under way at most: what comes meanwhile goes with the next."""

    def __init__(self, process: Process, tls_files: TlsFiles | None) -> None:
        self._process = process
        self._tls_files = tls_files
        self._look: Look = ()
        self._lock = threading.Lock()
        self._waiting: list[_Telling] = []
        self._is_under_way = False
        self._is_closed = False
        self._channel, self._call = self._connect()
        self._last_code = grpc.StatusCode.OK

    def tell(self, telling: _Telling) -> None:
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._waiting.append(telling)
        if is_closed:
            telling.done(False)  # noqa: FBT003 - what the callback takes
        self._send_next()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, []
            channel = self._channel
        channel.close()
        _report(waiting, is_told=False)

    def _send_next(self) -> None:
        with self._lock:
            if self._is_under_way or not self._waiting:
                return
            self._is_under_way = True
            tellings, self._waiting = _divided(self._waiting)
            call = self._call
        request = RaiseFloorsRequest(
            self._process.process_id, [telling.narrowing for telling in tellings]
        )
        try:
            future = call.future(encode_request(request), timeout=TRY_SECONDS_MAX)
        except ValueError:
            # The channel was closed in between.
            self._finish(tellings, grpc.StatusCode.CANCELLED)
        else:
            future.add_done_callback(lambda _: self._finish(tellings, future.code()))

    def _finish(self, tellings: list[_Telling], code: grpc.StatusCode) -> None:
        given_up = None
        with self._lock:
            self._is_under_way = False
            if not self._is_closed and (
                # What was sent may be lost without a trace: only a new connection tells.
                code is grpc.StatusCode.DEADLINE_EXCEEDED
                # A channel goes on with the certificate that it began with.
                or (code is not grpc.StatusCode.OK and self._has_new_files())
            ):
                given_up = self._channel
                self._channel, self._call = self._connect()
            is_news = code is not self._last_code
            self._last_code = code
        if given_up is not None:
            given_up.close()
        if is_news:
            _logger.log(
                logging.INFO if code is grpc.StatusCode.OK else logging.WARNING,
                "telling process %s at %s of narrowings: %s%s",
                self._process.process_id,
                self._process.address,
                code.name,
                "" if code is grpc.StatusCode.OK else "; such writes wait for its lease to end",
            )
        _report(tellings, is_told=code is grpc.StatusCode.OK)
        self._send_next()

    def _has_new_files(self) -> bool:
        return self._tls_files is not None and look_at(self._tls_files.paths) != self._look

    # In quotes, because only the types of grpc know that it is generic.
    def _connect(self) -> "tuple[grpc.Channel, grpc.UnaryUnaryMultiCallable[Any, Any]]":
        address, files = self._process.address, self._tls_files
        if files is None:
            channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            self._look = look_at(files.paths)
            try:
                credentials = channel_credentials(files)
            except TlsError as error:
                # Being replaced perhaps: nobody answers without a certificate, so it is tried
                # again with the files that are there then.
                _logger.warning("telling processes of narrowings: %s", error)
                credentials = grpc.ssl_channel_credentials()
                self._look = ()
            options = [*_OPTIONS, *control_channel_options()]
            channel = grpc.secure_channel(address, credentials, options=options)
        return channel, channel.unary_unary(f"/{SERVICE}/{RAISE_FLOORS}")


def _divided(waiting: list[_Telling]) -> tuple[list[_Telling], list[_Telling]]:
    """Divide what waits into what goes with the next call, at least one, and what stays."""
    floors = 0
    for index, telling in enumerate(waiting):
        floors += len(telling.narrowing.customers)
        if index and floors > FLOORS_PER_CALL_MAX:
            return waiting[:index], waiting[index:]
    return waiting, []


def _report(tellings: list[_Telling], *, is_told: bool) -> None:
    for telling in tellings:
        telling.done(is_told)
