"""The table of settings: each with its name, its reading, its default, and what it is for.

What lives here: one entry for every setting, and the bounds of its values. What settings have to do
with each other, and where they are read from, is in `settings`; limits that no operator should turn
are constants where they apply.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.embedded.directories import default_data_directory
from service.setting_readers import (
    count,
    one_of,
    read_algorithms,
    read_boolean,
    read_control_address,
    read_keys,
    read_level,
    read_listen,
    read_log_format,
    read_metrics_listen,
    read_namespace,
    read_optional_listen,
    read_path,
    read_postgres_url,
    read_ratio,
    read_redis_url,
    read_tracing_endpoint,
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
DAYS_MAX: Final = 36_500
TOKEN_LEEWAY_SECONDS_MAX: Final = 300.0
CALLER_LIMIT_MAX: Final = 1_000_000


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
        "metrics_listen",
        read_metrics_listen,
        lambda: "127.0.0.1:0",
        "HOST:PORT where metrics are told over HTTP, unencrypted and to anybody who reaches it; "
        "they say how much business there is and nothing of anybody. Port 0 finds a free one, "
        "which the log says; off: nowhere",
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
        "outbox_days",
        count(0, DAYS_MAX),
        lambda: "14",
        "for how many days a worker keeps what changed, for whoever watches changes and for a "
        "Redis that comes back old; 0: for ever",
    ),
    Setting(
        "journal_days",
        count(0, DAYS_MAX),
        lambda: "92",
        "for how many days a worker keeps the journal of decisions, which it parts by day; 0: it "
        "leaves the journal alone",
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
        "log_format",
        read_log_format,
        lambda: "auto",
        "how: json, an object to a line; text, for people; auto: text on a terminal, else json",
    ),
    Setting(
        "tracing_endpoint",
        read_tracing_endpoint,
        lambda: "",
        "http(s)://HOST:PORT of an OpenTelemetry collector (OTLP over gRPC) that is sent spans of "
        "calls; needs the extra maywe[tracing]; not given: no tracing",
    ),
    Setting(
        "tracing_ratio",
        read_ratio,
        lambda: "0.01",
        "which part of the calls is traced, 0 to 1, where the caller does not say itself",
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
        "how many calls in a second all processes together take of one caller that is identified, "
        "where the file of callers says nothing; 0: any number",
    ),
    Setting(
        "caller_streams",
        count(0, CALLER_LIMIT_MAX),
        lambda: "8",
        "how many streams one caller may have open, likewise",
    ),
    Setting(
        "journal",
        one_of("off", "sampled", "all"),
        lambda: "off",
        "which answers of checks and batches are journalled: off, sampled or all. With all an "
        "answer is refused that can not be journalled; of a sample it is lost, and counted",
    ),
    Setting("journal_share", read_ratio, lambda: "0.01", "the share of answers in a sample"),
    Setting(
        "receipt_keys_file",
        read_path,
        lambda: "",
        "PEM file of Ed25519 keys for receipts: the first one signs, and of all of them the public "
        "keys are given; not given: there are no receipts",
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
