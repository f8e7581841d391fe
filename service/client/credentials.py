"""What a client shows of itself: a certificate, a token, both or neither.

What lives here: reading them from files, for every connection and every call anew, and never
sending a token where others could read it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

AUTHORIZATION: Final = "authorization"


class CredentialsError(Exception):
    """A file of the client's can not be used. The text names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Files: the server's authority, which makes it TLS; our certificate with its key; a token."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token: Path | None = None

    def channel(self, address: str, options: list[tuple[str, str | int]]) -> grpc.Channel:
        """Open a channel, and have the token sent along. Raises CredentialsError."""
        if bool(self.certificate) != bool(self.key):
            message = "give both a certificate file and its key file, or neither"
            raise CredentialsError(message)
        if self.authority is None:
            if self.certificate is not None:
                message = "a certificate needs TLS: give the file of the server's authority too"
                raise CredentialsError(message)
            if self.token is not None and not _is_here(address):
                message = (
                    f"the token would travel to {address} in the clear: give the file of the "
                    "server's authority"
                )
                raise CredentialsError(message)
            channel = grpc.insecure_channel(address, options)
        else:
            credentials = grpc.ssl_channel_credentials(
                _read(self.authority),
                _read(self.key) if self.key else None,
                _read(self.certificate) if self.certificate else None,
            )
            channel = grpc.secure_channel(address, credentials, options)
        if self.token is not None:
            _read_token(self.token)
            channel = grpc.intercept_channel(channel, _TokenSender(self.token))
        return channel


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0]
    return address.startswith("unix:") or host in {"127.0.0.1", "localhost", "[::1]"}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} can not be read: {error.strerror}"
        raise CredentialsError(message) from error


def _read_token(path: Path) -> str:
    token = _read(path).decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        message = f"{path} holds no token"
        raise CredentialsError(message)
    return token


class _TokenSender(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends the token along with every call; a file that was replaced counts from the next on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _with_token(self, client_call_details: Any) -> Any:  # noqa: ANN401 - as grpc has it
        header = (AUTHORIZATION, f"Bearer {_read_token(self._path)}")
        return client_call_details._replace(
            metadata=[*(client_call_details.metadata or ()), header]
        )

    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - as grpc has it
        request: Any,  # noqa: ANN401 - of any call
    ) -> Any:  # noqa: ANN401 - as above
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - as grpc has it
        request: Any,  # noqa: ANN401 - of any call
    ) -> Any:  # noqa: ANN401 - as above
        return continuation(self._with_token(client_call_details), request)

    def intercept_stream_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - as grpc has it
        request_iterator: Any,  # noqa: ANN401 - of any call
    ) -> Any:  # noqa: ANN401 - as above
        return continuation(self._with_token(client_call_details), request_iterator)

    def intercept_stream_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - as grpc has it
        request_iterator: Any,  # noqa: ANN401 - of any call
    ) -> Any:  # noqa: ANN401 - as above
        return continuation(self._with_token(client_call_details), request_iterator)
