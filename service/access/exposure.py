"""Where a server may listen, by what it knows of its callers; and from settings to what is used.

What lives here: the refusal to be open to others unprotected, which nothing can switch off.
"""

import logging
from pathlib import Path

from service.access.gate import GateSettings
from service.access.roles import CallerLimits
from service.access.tokens import TokenRules
from service.settings import Settings
from service.tls import TlsFiles

_logger = logging.getLogger(__name__)


class ExposureError(Exception):
    """The server would be open to others without knowing them. The text says what to do."""


def identifies_callers(settings: Settings) -> bool:
    """Tell whether callers are identified, by certificate or by token."""
    return bool(settings.tls_client_ca_file or settings.token_keys)


def check_server_exposure(settings: Settings, listen: str) -> None:
    """Refuse to be open to others unprotected. Raises ExposureError."""
    is_protected = identifies_callers(settings) and settings.tls_certificate_file
    if not is_protected and not is_loopback(listen):
        message = (
            f"will not listen on {listen}: others could reach it, and "
            f"{_what_is_missing(settings)}. Give {_remedy(settings)} (docs/security.md), or "
            "listen on 127.0.0.1"
        )
        raise ExposureError(message)


def warn_if_open(settings: Settings, listen: str) -> None:
    """Say so when everybody on this machine may do everything."""
    if not identifies_callers(settings):
        _logger.warning(
            "no credentials are configured: everybody on this machine may make every call, so "
            "it listens on loopback only, %s",
            listen,
        )


def _what_is_missing(settings: Settings) -> str:
    if identifies_callers(settings):
        return "tokens would travel in the clear"
    if settings.tls_certificate_file:
        return "nothing tells callers apart"
    return "no credentials are configured"


def _remedy(settings: Settings) -> str:
    certificate = "MAYWE_TLS_CERTIFICATE_FILE and MAYWE_TLS_KEY_FILE"
    callers = "MAYWE_TLS_CLIENT_CA_FILE with MAYWE_CALLERS_FILE, or MAYWE_TOKEN_KEYS"
    if identifies_callers(settings):
        return certificate
    return callers if settings.tls_certificate_file else f"{certificate}, and {callers}"


def check_control_exposure(settings: Settings) -> None:
    """Refuse to let others than the installation's own processes raise floors.

    Raises ExposureError.
    """
    if not settings.control_certificate_file and not is_loopback(settings.control_listen):
        message = (
            f"will not listen on {settings.control_listen} for writers: others could reach it. "
            "Give MAYWE_CONTROL_CERTIFICATE_FILE, MAYWE_CONTROL_KEY_FILE and "
            "MAYWE_CONTROL_CA_FILE (docs/security.md), or listen on 127.0.0.1"
        )
        raise ExposureError(message)


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach HOST:PORT."""
    host = address.rpartition(":")[0]
    octets = host.split(".")
    is_ipv4 = len(octets) == 4 and all(  # noqa: PLR2004 - the parts of an address
        octet.isascii() and octet.isdecimal() for octet in octets
    )
    # Not every name that begins with 127 is an address.
    return host in {"localhost", "[::1]"} or (is_ipv4 and octets[0] == "127")


def tls_files_of(settings: Settings) -> TlsFiles | None:
    """Give the files of the port for clients; None without TLS."""
    return _files(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)


def control_files_of(settings: Settings) -> TlsFiles | None:
    """Give the files of the installation's own processes; None without TLS."""
    return _files(
        settings.control_certificate_file, settings.control_key_file, settings.control_ca_file
    )


def _files(certificate: str, key: str, authority: str) -> TlsFiles | None:
    if not certificate:
        return None
    return TlsFiles(Path(certificate), Path(key), Path(authority) if authority else None)


def gate_settings_of(settings: Settings) -> GateSettings | None:
    """Give by what callers are known; None where they are not."""
    if not identifies_callers(settings):
        return None
    return GateSettings(
        has_certificates=bool(settings.tls_client_ca_file),
        callers_file=settings.callers_file,
        token_keys=settings.token_keys,
        token_rules=TokenRules(
            settings.token_issuer,
            settings.token_audience,
            settings.token_algorithms.split(","),
            settings.token_leeway_seconds,
            settings.token_roles_claim,
        ),
        limits=CallerLimits(settings.caller_calls_per_second, settings.caller_streams),
    )
