"""TLS: credentials of servers and of who calls them, from files that are replaced while we run.

What lives here: reading certificates and keys, and handing them to gRPC. Who a certificate belongs
to is `service.access`' business; what is secret stays in its file and is never shown.
"""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from service.access.watched_file import Look, look_at

_logger = logging.getLogger(__name__)


class TlsError(Exception):
    """A certificate, key or authority can not be used. The text names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and the other side's authority are; `authority` may be left out."""

    certificate: Path
    key: Path
    authority: Path | None

    @property
    def paths(self) -> list[Path]:
        """Every file."""
        return [self.certificate, self.key, *([self.authority] if self.authority else [])]


class TlsMaterial:
    """What the files hold, checked."""

    def __init__(self, files: TlsFiles) -> None:
        """Read and check. Raises TlsError."""
        self.certificate = _read(files.certificate)
        self.key = _read(files.key)
        self.authority = _read(files.authority) if files.authority else None
        # Nothing in gRPC says what is wrong with a pair; this does before it is put to use.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An empty password, so that nobody is asked for one on a terminal.
            context.load_cert_chain(files.certificate, files.key, lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            message = f"{files.certificate} and {files.key} are no certificate and its plain key"
            raise TlsError(message) from error
        if self.authority is not None:
            try:
                context.load_verify_locations(cadata=self.authority.decode("ascii"))
            except (ssl.SSLError, ValueError) as error:
                message = f"{files.authority} holds no certificate of an authority"
                raise TlsError(message) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} can not be read: {error.strerror}"
        raise TlsError(message) from error


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Give credentials of a server, which are looked at anew for every connection.

    With an authority clients have to show a certificate of it. A changed set of files that does not
    fit together, as while it is being replaced, is left aside. Raises TlsError.
    """
    look = look_at(files.paths)
    changing = _Changing(files, look)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(TlsMaterial(files)),
        # That it may give None, its documentation says and its types do not.
        changing.newer,  # type: ignore[arg-type]
        require_client_authentication=files.authority is not None,
    )


class _Changing:
    """Gives what has changed since it was asked last. gRPC may ask in any of its threads."""

    def __init__(self, files: TlsFiles, look: Look) -> None:
        self._files = files
        self._look = look
        self._lock = threading.Lock()

    def newer(self) -> "grpc.ServerCertificateConfiguration | None":
        look = look_at(self._files.paths)
        with self._lock:
            if look == self._look:
                return None
            self._look = look
            try:
                material = TlsMaterial(self._files)
            except TlsError as error:
                _logger.error("%s; what was used before stays in use", error)  # noqa: TRY400 - no trace, a file is faulty
                return None
        _logger.info("certificate and key were replaced: %s", self._files.certificate)
        return _configuration(material)


def _configuration(material: TlsMaterial) -> "grpc.ServerCertificateConfiguration":
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)], material.authority
    )


CONTROL_NAME: Final = "maywe-control"
"""The DNS name in the certificates of the installation's own processes, by which they know each
other: their addresses come and go."""


def control_channel_options() -> list[tuple[str, str]]:
    """Give the options by which a writer takes a decision process for one of its own."""
    return [("grpc.ssl_target_name_override", CONTROL_NAME)]


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Give credentials of a client that shows its certificate. Raises TlsError."""
    material = TlsMaterial(files)
    return grpc.ssl_channel_credentials(material.authority, material.key, material.certificate)


def is_of_installation(context: grpc.ServicerContext) -> bool:
    """Tell whether a call came from one of the installation's own processes."""
    return CONTROL_NAME.encode() in context.auth_context().get("peer_dns", ())
