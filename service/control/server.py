"""The control server of a decision process: where writers tell it what they have taken away.

What lives here: the private gRPC server and its one call. It answers only once the floors are
raised, because the writer answers its own caller then (`design.md`, "No stale ALLOW", step 6).
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import grpc

from service.control.messages import (
    MESSAGE_BYTES_MAX,
    RAISE_FLOORS,
    SERVICE,
    UnreadableMessageError,
    decode_request,
)
from service.request_reading import UNCOMPRESSED
from service.tls import TlsError, TlsFiles, is_of_installation, server_credentials
from store.guard import GuardKeeper
from store.publications import Catalogs

THREADS: Final = 2
"""One may be loading a catalog; the other goes on raising floors."""

STOP_SECONDS_MAX: Final = 0.5
"""How long calls may take to end when the server is closed."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # Two processes at one address would answer for each other.
    ("grpc.so_reuseport", 0),
    *UNCOMPRESSED,
)
_DONE: Final = b"{}"

_logger = logging.getLogger(__name__)


class ControlListenError(Exception):
    """The control server can not listen where it was told to."""

    def __init__(self, listen: str) -> None:
        super().__init__(
            f"cannot listen on {listen} for writers: is the address ours, and the port free?"
        )


class ControlServer:
    """Serves one process's keeper to writers; a context manager.

    It MUST be open while the process holds a lease: close it after the lease was released.
    """

    def __init__(
        self,
        keeper: GuardKeeper,
        catalogs: Catalogs,
        process_id: str,
        listen: str,
        tls_files: TlsFiles | None = None,
    ) -> None:
        """Listen on HOST:PORT once entered; port 0 chooses a free one.

        With `tls_files` only the installation's own processes are heeded; without them it MUST be
        out of reach for others.
        """
        self._tls_files = tls_files
        self._keeper = keeper
        self._catalogs = catalogs
        self._process_id = process_id
        self._listen = listen
        self._loading = threading.Lock()
        self._port = 0
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="maywe floors")
        self._server = grpc.server(self._executor, options=_OPTIONS)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._raise_floors
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {RAISE_FLOORS: handler}),)
        )

    @property
    def address(self) -> str:
        """Where it listens, HOST:PORT, once entered."""
        return f"{self._listen.rpartition(':')[0]}:{self._port}"

    def __enter__(self) -> Self:
        """Begin to listen. Raises ControlListenError and TlsError."""
        try:
            if self._tls_files is None:
                self._port = self._server.add_insecure_port(self._listen)
            else:
                credentials = server_credentials(self._tls_files)
                self._port = self._server.add_secure_port(self._listen, credentials)
        except TlsError:
            self._executor.shutdown()
            raise
        except RuntimeError as error:
            self._executor.shutdown()
            raise ControlListenError(self._listen) from error
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._server.stop(STOP_SECONDS_MAX).wait()
        self._executor.shutdown()

    def _raise_floors(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        if self._tls_files is not None and not is_of_installation(context):
            _logger.warning("refused to heed a writer: its certificate is not the installation's")
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not of this installation")
        try:
            request = decode_request(data)
        except UnreadableMessageError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if request.process_id != self._process_id:
            # The port was another process's before, and its writer takes us for that one.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "another process listens here now")
        for narrowing in request.narrowings:
            self._keeper.raise_floors(narrowing)
        # After the floors, which count without it: until the catalog is there, every check that
        # needs it loads it, or waits for who does.
        self._load_catalog(
            max(((one.epoch, one.publication) for one in request.narrowings), default=(0, 0))
        )
        return _DONE

    def _load_catalog(self, told: tuple[int, int]) -> None:
        """Load a publication, unless another call is at it, for which nobody else need wait."""
        epoch, publication = told
        if not publication or not self._loading.acquire(blocking=False):
            return
        try:
            self._catalogs.refresh(publication, epoch)
        except Exception:
            _logger.warning("publication %d could not be loaded", publication, exc_info=True)
        finally:
            self._loading.release()
