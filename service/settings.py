"""Settings: what an operator chose, from flags, the environment and files, with defaults.

What lives here: reading them together, what they have to do with each other, and showing them.
Which there are is `setting_table`'s, what is done with them the composition root's business.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from service.setting_readers import EVERY_INTERFACE
from service.setting_table import RENEWALS_PER_LEASE_MIN, SETTINGS, Setting

SECRET_BYTES_MAX: Final = 8192
"""What is secret may be so long; other processes read it from a pipe (`service.processes`)."""


class SettingsError(Exception):
    """A setting is wrong. The text names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between one installation and another.

    `control_address` is empty where it follows from `control_listen`.

    Without `postgres_url` and `redis_url` the embedded servers run in `data_directory`, under root
    as `server_user`; `is_durable` says whether the embedded PostgreSQL forces commits to disk.
    """

    # What is secret stands in no text by which the settings are shown.
    postgres_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    redis_namespace: str
    listen: str
    health_listen: str
    metrics_listen: str
    is_port_shared: bool
    processes: int
    data_directory: Path
    server_user: str
    is_durable: bool
    control_listen: str
    control_address: str
    lease_seconds: float
    lease_renewal_seconds: float
    lost_lease_grace_seconds: float
    effective_wait_seconds: float
    postgres_reads_max: int
    postgres_reads_waiting_max: int
    reconciled_per_second: int
    outbox_days: int
    journal_days: int
    bulk_processes: int
    shutdown_drain_seconds: float
    shutdown_grace_seconds: float
    log_level: str
    log_format: str
    tracing_endpoint: str
    tracing_ratio: float
    tls_certificate_file: str
    tls_key_file: str
    tls_client_ca_file: str
    callers_file: str
    token_keys: str
    token_issuer: str
    token_audience: str
    token_algorithms: str
    token_leeway_seconds: float
    token_roles_claim: str
    is_four_eyes: bool
    caller_calls_per_second: int
    caller_streams: int
    journal: str
    journal_share: float
    receipt_keys_file: str
    control_certificate_file: str
    control_key_file: str
    control_ca_file: str

    @property
    def uses_embedded_servers(self) -> bool:
        """Whether PostgreSQL and Redis are to be started here."""
        return not self.postgres_url


def read_settings(
    flags: Mapping[str, str | None], environment: Mapping[str, str], *, is_redis_needed: bool = True
) -> Settings:
    """Read the settings: a flag (by field name) goes before the environment, that before a default.

    In the environment what is given itself goes before the file in which it is. Unless
    `is_redis_needed`, a PostgreSQL may be given without a Redis.

    Raises SettingsError.
    """
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        flag = flags.get(setting.name)
        where, text = (
            (setting.flag, flag) if flag is not None else _from_environment(setting, environment)
        )
        if setting.is_secret and len(text.encode()) > SECRET_BYTES_MAX:
            _refuse(f"{where}: has more than {SECRET_BYTES_MAX} bytes")
        try:
            values[setting.name] = setting.read(text)
        except ValueError as error:
            message = f"{where}: {error}"
            raise SettingsError(message) from error
    settings = Settings(**values)
    _refuse_what_does_not_fit(settings, is_redis_needed=is_redis_needed)
    refuse_half_credentials(settings)
    return settings


def _from_environment(setting: Setting, environment: Mapping[str, str]) -> tuple[str, str]:
    # A variable that is set but empty is how deployments say "not set".
    if text := environment.get(setting.variable):
        return setting.variable, text
    if setting.is_secret and (file := environment.get(setting.file_variable)):
        return setting.file_variable, _read_secret(setting.file_variable, Path(file))
    return setting.variable, setting.default()


def _read_secret(variable: str, file: Path) -> str:
    """Read the one line of a file. What is in it is in no error text."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"{variable}: {file} cannot be read: {error.strerror}"
        raise SettingsError(message) from error
    except UnicodeDecodeError:
        # Not `from`: the error quotes what is in the file.
        message = f"{variable}: {file} is not UTF-8"
        raise SettingsError(message) from None
    if not text:
        # Not as if it were not given: that would start embedded servers.
        message = f"{variable}: {file} is empty"
        raise SettingsError(message)
    return text


def refuse_secrets_in(flags: Mapping[str, str | None]) -> None:
    """Refuse what is secret in flags, which everybody reads who lists processes.

    Raises SettingsError, which does not show it.
    """
    for setting in SETTINGS:
        flag = flags.get(setting.name)
        if setting.is_secret and flag and _MASK in _masked(flag):
            _refuse(
                f"{setting.flag}: with a password it is not for the command line, which everybody "
                f"can read: put it into a file, and the file's path into {setting.file_variable}"
            )


def _refuse_what_does_not_fit(settings: Settings, *, is_redis_needed: bool) -> None:
    is_one_missing = bool(settings.postgres_url) != bool(settings.redis_url)
    if is_one_missing and (is_redis_needed or not settings.postgres_url):
        _refuse(
            "give both --postgres-url and --redis-url (MAYWE_POSTGRES_URL, MAYWE_REDIS_URL), "
            "or neither for the embedded servers"
        )
    host = settings.control_listen.rpartition(":")[0]
    if host in EVERY_INTERFACE and not settings.control_address:
        _refuse(
            f"give --control-address (MAYWE_CONTROL_ADDRESS): writers cannot reach {host}, which "
            "only says to listen everywhere"
        )
    if settings.lease_renewal_seconds * RENEWALS_PER_LEASE_MIN > settings.lease_seconds:
        _refuse(
            "a lease has to be renewed at least twice while it lasts: lower "
            "--lease-renewal-seconds (MAYWE_LEASE_RENEWAL_SECONDS) or raise --lease-seconds "
            "(MAYWE_LEASE_SECONDS)"
        )


def refuse_half_credentials(settings: Settings) -> None:
    """Refuse what would look protected and is not. Raises SettingsError."""
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        _refuse("give both MAYWE_TLS_CERTIFICATE_FILE and MAYWE_TLS_KEY_FILE, or neither")
    if settings.tls_client_ca_file and not settings.tls_certificate_file:
        _refuse("MAYWE_TLS_CLIENT_CA_FILE needs MAYWE_TLS_CERTIFICATE_FILE and MAYWE_TLS_KEY_FILE")
    if settings.tls_client_ca_file and not (settings.callers_file or settings.token_keys):
        _refuse("MAYWE_TLS_CLIENT_CA_FILE needs MAYWE_CALLERS_FILE, which says who is who")
    if settings.token_keys and not (settings.token_issuer and settings.token_audience):
        _refuse("MAYWE_TOKEN_KEYS needs MAYWE_TOKEN_ISSUER and MAYWE_TOKEN_AUDIENCE")
    if settings.is_four_eyes and not (settings.tls_client_ca_file or settings.token_keys):
        _refuse("MAYWE_FOUR_EYES needs callers that are known: docs/security.md says how")
    given = [
        settings.control_certificate_file,
        settings.control_key_file,
        settings.control_ca_file,
    ]
    if any(given) and not all(given):
        _refuse(
            "give all of MAYWE_CONTROL_CERTIFICATE_FILE, MAYWE_CONTROL_KEY_FILE and "
            "MAYWE_CONTROL_CA_FILE, or none"
        )


def _refuse(message: str) -> NoReturn:
    raise SettingsError(message)


def shown_settings(settings: Settings) -> dict[str, str]:
    """Give every setting as text by its environment variable, passwords masked."""
    return {
        setting.variable: _masked(_as_text(getattr(settings, setting.name))) for setting in SETTINGS
    }


class ChildSettings(NamedTuple):
    """Settings for another process: its whole environment, and what it is to read from files.

    `secrets` are texts by the environment variable that has to name the file of each.
    """

    environment: Mapping[str, str]
    secrets: Mapping[str, str]


def child_settings(settings: Settings, environment: Mapping[str, str]) -> ChildSettings:
    """Give what another process needs to read the same settings, beside the environment given.

    What is secret is not in its environment, however we were given it.
    """
    rest = dict(environment)
    secrets = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        if setting.is_secret:
            rest.pop(setting.variable, None)
            rest.pop(setting.file_variable, None)
            if value:
                secrets[setting.file_variable] = value
        else:
            rest[setting.variable] = repr(value) if isinstance(value, float) else _as_text(value)
    return ChildSettings(rest, secrets)


def _as_text(value: object) -> str:
    """Write a value as it would be read."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


_MASK: Final = "***"
_SECRET_PARAMETER: Final = re.compile(r"password|passwd|secret|token|sslkey", re.IGNORECASE)


def _masked(text: str) -> str:
    """Hide what is secret in a URL; other text stays as it is."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    place = parts.netloc
    if "@" in place:
        login, _, host = place.rpartition("@")
        user, colon, _ = login.partition(":")
        place = f"{user}{colon}{_MASK if colon else ''}@{host}"
    query = urlencode(
        [
            (name, _MASK if _SECRET_PARAMETER.search(name) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ],
        safe="*/",
    )
    return urlunsplit((parts.scheme, place, parts.path, query, parts.fragment))
