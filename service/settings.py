"""Settings: what an operator may choose, from flags and the environment, with defaults.

What lives here: one table of settings, its reading and its showing. What is done with them is the
composition root's business; limits that no operator should turn are constants where they apply.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from service.embedded.directories import default_data_directory
from service.setting_readers import (
    EVERY_INTERFACE,
    count,
    read_algorithms,
    read_boolean,
    read_control_address,
    read_keys,
    read_level,
    read_listen,
    read_namespace,
    read_optional_listen,
    read_path,
    read_postgres_url,
    read_redis_url,
    seconds,
)
from store.reconciling import CUSTOMERS_PER_SECOND
from store.shared_reads import IDS_WAITING_MAX, READS_IN_FLIGHT_MAX

SHUTDOWN_GRACE_SECONDS_MAX: Final = 3600.0
LEASE_SECONDS_MIN: Final = 0.2
LEASE_SECONDS_MAX: Final = 60.0
LEASE_RENEWAL_SECONDS_MIN: Final = 0.02
RENEWALS_PER_LEASE_MIN: Final = 2
GRACE_SECONDS_MAX: Final = 86_400.0
EFFECTIVE_WAIT_SECONDS_MAX: Final = 600.0
READS_MAX: Final = 64
READS_WAITING_MAX: Final = 1_000_000
RECONCILED_PER_SECOND_MAX: Final = 10_000
PROCESSES_MAX: Final = 256


TOKEN_LEEWAY_SECONDS_MAX: Final = 300.0
CALLER_LIMIT_MAX: Final = 1_000_000


class SettingsError(Exception):
    """A setting is wrong. The text names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between one installation and another.

    `control_address` is empty where it follows from `control_listen`.

    Without `postgres_url` and `redis_url` the embedded servers run in `data_directory`, under root
    as `server_user`; `is_durable` says whether the embedded PostgreSQL forces commits to disk.
    """

    postgres_url: str
    redis_url: str
    redis_namespace: str
    listen: str
    health_listen: str
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
    bulk_processes: int
    shutdown_drain_seconds: float
    shutdown_grace_seconds: float
    log_level: str
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
    control_certificate_file: str
    control_key_file: str
    control_ca_file: str

    @property
    def uses_embedded_servers(self) -> bool:
        """Whether PostgreSQL and Redis are to be started here."""
        return not self.postgres_url


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its field, how its text is read, its default as text, and what it is for.

    What is secret may also stand in a file, which another environment variable names.
    """

    name: str
    read: Callable[[str], Any]
    default: Callable[[], str]
    help: str
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return f"MAYWE_{self.name.removeprefix('is_').upper()}"

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file with it; empty where it is no secret."""
        return f"{self.variable}_FILE" if self.is_secret else ""

    @property
    def flag(self) -> str:
        """The flag that gives it, which goes before the environment."""
        return f"--{self.name.removeprefix('is_').replace('_', '-')}"


def read_settings(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Read the settings: a flag (by field name) goes before the environment, that before a default.

    In the environment what is given itself goes before the file in which it is.

    Raises SettingsError.
    """
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        flag = flags.get(setting.name)
        where, text = (
            (setting.flag, flag) if flag is not None else _from_environment(setting, environment)
        )
        try:
            values[setting.name] = setting.read(text)
        except ValueError as error:
            message = f"{where}: {error}"
            raise SettingsError(message) from error
    settings = Settings(**values)
    if bool(settings.postgres_url) != bool(settings.redis_url):
        message = (
            "give both --postgres-url and --redis-url (MAYWE_POSTGRES_URL, MAYWE_REDIS_URL), "
            "or neither for the embedded servers"
        )
        raise SettingsError(message)
    host = settings.control_listen.rpartition(":")[0]
    if host in EVERY_INTERFACE and not settings.control_address:
        message = (
            f"give --control-address (MAYWE_CONTROL_ADDRESS): writers cannot reach {host}, which "
            "only says to listen everywhere"
        )
        raise SettingsError(message)
    if settings.lease_renewal_seconds * RENEWALS_PER_LEASE_MIN > settings.lease_seconds:
        message = (
            "a lease has to be renewed at least twice while it lasts: lower "
            "--lease-renewal-seconds (MAYWE_LEASE_RENEWAL_SECONDS) or raise --lease-seconds "
            "(MAYWE_LEASE_SECONDS)"
        )
        raise SettingsError(message)
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


def environment_of(settings: Settings) -> dict[str, str]:
    """Give the environment variables from which another process reads the same settings."""
    return {
        setting.variable: repr(value) if isinstance(value, float) else _as_text(value)
        for setting in SETTINGS
        for value in [getattr(settings, setting.name)]
    }


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


SETTINGS: Final = (
    Setting(
        "postgres_url",
        read_postgres_url,
        lambda: "",
        "the ledger's PostgreSQL, postgresql://…; not given: an embedded one",
        is_secret=True,
    ),
    Setting(
        "redis_url",
        read_redis_url,
        lambda: "",
        "the cache's Redis, redis://…, or cluster, redis+cluster://…; not given: an embedded one",
        is_secret=True,
    ),
    Setting(
        "redis_namespace", read_namespace, lambda: "maywe", "what the keys in Redis begin with"
    ),
    Setting("listen", read_listen, lambda: "127.0.0.1:7443", "HOST:PORT to serve on"),
    Setting(
        "health_listen",
        read_optional_listen,
        lambda: "",
        "HOST:PORT where health alone is answered, unencrypted and to anybody, as the probes of a "
        "kubelet want it; not given: only where clients are answered",
    ),
    Setting(
        "is_port_shared",
        read_boolean,
        lambda: "false",
        "whether other processes of the same installation serve on the port too: true or false",
    ),
    Setting(
        "processes",
        count(1, PROCESSES_MAX),
        lambda: "1",
        "how many processes serve the port, at best one for each core; a worker is always one. A "
        "control port that is given is the first one's, and the next ones' follow it",
    ),
    Setting(
        "data_directory",
        lambda text: Path(text).expanduser(),
        lambda: str(default_data_directory()),
        "where the embedded servers keep their data",
    ),
    Setting(
        "server_user",
        str,
        lambda: "nobody",
        "the account of the embedded servers when started by root",
    ),
    Setting(
        "is_durable",
        read_boolean,
        lambda: "true",
        "whether the embedded PostgreSQL forces commits to disk: true or false",
    ),
    Setting(
        "control_listen",
        read_listen,
        lambda: "127.0.0.1:0",
        "HOST:PORT where a decision server listens to writers, apart from clients; "
        "keep it to the installation's own network",
    ),
    Setting(
        "control_address",
        read_control_address,
        lambda: "",
        "HOST:PORT by which writers reach that; not given: where it listens",
    ),
    Setting(
        "lease_seconds",
        seconds(LEASE_SECONDS_MIN, LEASE_SECONDS_MAX),
        lambda: "2",
        "how long a decision server may answer from Redis after it last heard of PostgreSQL; "
        "a dead one holds up EFFECTIVE for as long",
    ),
    Setting(
        "lease_renewal_seconds",
        seconds(LEASE_RENEWAL_SECONDS_MIN, LEASE_SECONDS_MAX / RENEWALS_PER_LEASE_MIN),
        lambda: "0.5",
        "how often a decision server renews its lease",
    ),
    Setting(
        "lost_lease_grace_seconds",
        seconds(0.0, GRACE_SECONDS_MAX),
        lambda: "0",
        "how long a decision server goes on with Redis after its lease is lost, where PostgreSQL "
        "does not answer, marking such answers outside_promise; 0: it refuses",
    ),
    Setting(
        "effective_wait_seconds",
        seconds(0.0, EFFECTIVE_WAIT_SECONDS_MAX),
        lambda: "5",
        "how long a write waits at most to become EFFECTIVE before it is answered as DURABLE",
    ),
    Setting(
        "postgres_reads_max",
        count(1, READS_MAX),
        lambda: str(READS_IN_FLIGHT_MAX),
        "how many reads for checks a decision server has at PostgreSQL at once",
    ),
    Setting(
        "postgres_reads_waiting_max",
        count(1, READS_WAITING_MAX),
        lambda: str(IDS_WAITING_MAX),
        "how many customers may wait for such reads; checks beyond that are shed",
    ),
    Setting(
        "reconciled_per_second",
        count(0, RECONCILED_PER_SECOND_MAX),
        lambda: str(CUSTOMERS_PER_SECOND),
        "how many customers a worker compares with the ledger in a second; 0: none",
    ),
    Setting(
        "bulk_processes",
        count(0, PROCESSES_MAX),
        lambda: str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1),
        "how many processes of their own the writers of a port, or a worker, have for imports and "
        "roll-outs, by default one for each core; 0: they do them themselves",
    ),
    Setting(
        "shutdown_drain_seconds",
        seconds(0.0, SHUTDOWN_GRACE_SECONDS_MAX),
        lambda: "0.5",
        "how long a server says that it is about to stop, and goes on answering, before it does",
    ),
    Setting(
        "shutdown_grace_seconds",
        seconds(0.0, SHUTDOWN_GRACE_SECONDS_MAX),
        lambda: "10",
        "how long running calls may take to finish at shutdown",
    ),
    Setting(
        "log_level", read_level, lambda: "info", "what is logged: debug, info, warning or error"
    ),
    Setting(
        "tls_certificate_file",
        read_path,
        lambda: "",
        "PEM file of the server's certificate and what stands between it and its authority; "
        "taken over anew when it is replaced, as every file named here",
    ),
    Setting("tls_key_file", read_path, lambda: "", "PEM file of that certificate's key"),
    Setting(
        "tls_client_ca_file",
        read_path,
        lambda: "",
        "PEM file of the authorities whose certificates every client has to have; not given: "
        "clients have none",
    ),
    Setting(
        "callers_file",
        read_path,
        lambda: "",
        "file that says which certificate, or subject of a token, is whom, with which roles",
    ),
    Setting(
        "token_keys",
        read_keys,
        lambda: "",
        "file or https URL of the issuer's key set, by which tokens are verified",
    ),
    Setting("token_issuer", str, lambda: "", "what tokens have to say as their issuer (iss)"),
    Setting("token_audience", str, lambda: "", "whom tokens have to be for (aud)"),
    Setting(
        "token_algorithms",
        read_algorithms,
        lambda: "ES256,EdDSA,PS256,RS256",
        "algorithms by which tokens may be signed, with commas",
    ),
    Setting(
        "token_leeway_seconds",
        seconds(0.0, TOKEN_LEEWAY_SECONDS_MAX),
        lambda: "30",
        "how far the issuer's clock may be from ours",
    ),
    Setting("token_roles_claim", str, lambda: "roles", "the claim of a token that lists its roles"),
    Setting(
        "is_four_eyes",
        read_boolean,
        lambda: "false",
        "whether a catalog may be published only after somebody else has handed it in: true or "
        "false",
    ),
    Setting(
        "caller_calls_per_second",
        count(0, CALLER_LIMIT_MAX),
        lambda: "2000",
        "how many calls in a second each process takes of one caller that is identified, where "
        "the file of callers says nothing; 0: any number",
    ),
    Setting(
        "caller_streams",
        count(0, CALLER_LIMIT_MAX),
        lambda: "8",
        "how many streams one caller may have open with each process, likewise",
    ),
    Setting(
        "control_certificate_file",
        read_path,
        lambda: "",
        "PEM file of the certificate by which the installation's own processes know each other, "
        "with the DNS name maywe-control",
    ),
    Setting("control_key_file", read_path, lambda: "", "PEM file of that certificate's key"),
    Setting("control_ca_file", read_path, lambda: "", "PEM file of the authority that issued it"),
)
"""Every setting; flags, environment variables and `maywe config` follow from this table."""
