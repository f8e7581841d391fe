"""No secret in logs, in what lists processes, or in what callers are told."""

import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import decision_pb2
from sqlalchemy import NullPool, create_engine, make_url, text

from service.cli.exits import Exit
from tests.authority import AUDIENCE, ISSUER, CertificateAuthority, TokenIssuer
from tests.integration.test_serving import MAYWE, PROCESS_SECONDS_MAX
from tests.servers import raw_client
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PROCESSES: Final = 2
CALL_SECONDS: Final = 10.0


class Secrets:
    """Secrets that are in use, and where nobody may find them."""

    def __init__(self) -> None:
        """Draw passwords; they are of letters alone, which nobody escapes."""
        self.postgres = f"pgSecret{secrets.token_hex(12)}"
        self.redis = f"redisSecret{secrets.token_hex(12)}"
        self.others: list[str] = []

    def assert_not_in(self, where: str, told: str) -> None:
        """Assert that a text tells none of them."""
        for secret in (self.postgres, self.redis, *self.others):
            place = told.find(secret)
            assert place < 0, (where, told[max(0, place - 500) : place + 200])


@pytest.fixture
def hidden() -> Secrets:
    """Secrets of this test alone."""
    return Secrets()


@pytest.fixture
def login(database_url: str, redis_url: str, hidden: Secrets) -> Iterator[str]:
    """A role of PostgreSQL and a user of Redis with these passwords, both of this name."""
    name = f"maywe_test_{secrets.token_hex(6)}"
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection, raw_client(redis_url) as client:
        connection.execute(text(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{hidden.postgres}'"))
        client.acl_setuser(
            name,
            enabled=True,
            passwords=[f"+{hidden.redis}"],
            keys="*",
            commands=["+@all"],
            channels="*",
        )
        try:
            yield name
        finally:
            client.acl_deluser(name)
            # A server has made partitions of the journal in the meantime.
            connection.execute(text(f"DROP OWNED BY {name}"))
            connection.execute(text(f"DROP ROLE {name}"))


@pytest.fixture
def environment(
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    login: str,
    hidden: Secrets,
    tmp_path: Path,
) -> dict[str, str]:
    """Settings whose secrets are in files."""
    postgres = tmp_path / "postgres-url"
    url = make_url(database_url).set(username=login, password=hidden.postgres)
    postgres.write_text(url.render_as_string(hide_password=False))
    redis = tmp_path / "redis-url"
    redis.write_text(redis_url.replace("://", f"://{login}:{hidden.redis}@", 1))
    given = {name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")}
    return given | {
        "MAYWE_POSTGRES_URL_FILE": str(postgres),
        "MAYWE_REDIS_URL_FILE": str(redis),
        "MAYWE_REDIS_NAMESPACE": redis_namespace,
        "MAYWE_LISTEN": "127.0.0.1:0",
        "MAYWE_BULK_PROCESSES": str(PROCESSES),
        "MAYWE_LOG_LEVEL": "debug",
    }


def family_of(process_id: int) -> set[int]:
    """A process with all that it and they have started and that live."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = status.read_text().partition(" (")
        except OSError:
            continue
        parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
    found = {process_id}
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_secrets_in_files_are_seen_nowhere_else(
    environment: dict[str, str],
    hidden: Secrets,
    login: str,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    """Neither while all goes well, nor when the stores let nobody in any more."""
    issuer = TokenIssuer(tmp_path / "keys.json")
    authority = CertificateAuthority(tmp_path)
    server = authority.issue("server", dns=["localhost"], addresses=["127.0.0.1"])
    token = issuer.token(["decision.read"])
    hidden.others = [token, *server.key.read_text().splitlines()[1:-1]]
    log_path = tmp_path / "log"
    with (
        log_path.open("w") as log,
        subprocess.Popen(
            [MAYWE, "serve", "all", f"--processes={PROCESSES}"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment
            | {
                "MAYWE_TOKEN_KEYS": str(issuer.file),
                "MAYWE_TOKEN_ISSUER": ISSUER,
                "MAYWE_TOKEN_AUDIENCE": AUDIENCE,
                "MAYWE_TLS_CERTIFICATE_FILE": str(server.certificate),
                "MAYWE_TLS_KEY_FILE": str(server.key),
            },
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", line)
            assert found is not None, log_path.read_text()
            credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
            with grpc.secure_channel(found[1], credentials) as channel:
                told = [_answer(channel, token)]
                # Servers, their workers, and whoever looks after them.
                until(lambda: len(family_of(process.pid)) == 1 + 2 * PROCESSES)
                for number in family_of(process.pid):
                    for name in ("cmdline", "environ"):
                        content = Path(f"/proc/{number}/{name}").read_bytes()
                        hidden.assert_not_in(
                            f"{name} of {number}", content.decode(errors="replace")
                        )
                _lock_out(login, database_url, redis_url)
                told += [_answer(channel, token) for _ in range(3)]
                assert "UNAVAILABLE" in told[-1]
            hidden.assert_not_in("answers", "\n".join(told))
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=PROCESS_SECONDS_MAX)
            hidden.assert_not_in("standard output", rest)
        finally:
            process.kill()
    logged = log_path.read_text()
    assert "Redis does not answer" in logged
    hidden.assert_not_in("log", logged)


def _answer(channel: grpc.Channel, token: str) -> str:
    """Whatever the server says to a check."""
    method: Any = channel.unary_unary(
        "/maywe.v1.DecisionService/MayContact",
        request_serializer=decision_pb2.MayContactRequest.SerializeToString,
    )
    request = decision_pb2.MayContactRequest(customer_id="anna", channel="x", purpose="y")
    try:
        return repr(
            method(
                request,
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=CALL_SECONDS,
                wait_for_ready=True,
            )
        )
    except grpc.RpcError as error:
        failed: Any = error
        return f"{failed.code()} {failed.details()} {failed.trailing_metadata()}"


def _lock_out(login: str, database_url: str, redis_url: str) -> None:
    """Let nobody in by this name any more, and end the connections that are there."""
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection, raw_client(redis_url) as client:
        connection.execute(text(f"ALTER ROLE {login} NOLOGIN"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :name"),
            {"name": login},
        )
        client.acl_deluser(login)
        for one in client.client_list():
            if one["user"] == login:
                client.client_kill_filter(_id=one["id"])
    time.sleep(1)


COMMANDS: Final = (
    ("config",),
    ("config", "--lease-seconds=nonsense"),
    ("migrate",),
    ("serve", "worker", "--token-keys=/nowhere"),
    ("ledger", "verify"),
)


def test_commands_do_not_tell_secrets(
    environment: dict[str, str], hidden: Secrets, login: str, database_url: str, redis_url: str
) -> None:
    """Whether they succeed or not, in whatever they do with stores that let nobody in."""
    _lock_out(login, database_url, redis_url)
    running = [
        subprocess.Popen(
            [MAYWE, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for arguments in COMMANDS
    ]
    for arguments, process in zip(COMMANDS, running, strict=True):
        told, _ = process.communicate(timeout=PROCESS_SECONDS_MAX)
        hidden.assert_not_in(str(arguments), told)
        assert "Traceback" not in told


def test_a_password_in_a_flag_is_refused_before_anything_is_done(
    environment: dict[str, str], hidden: Secrets, database_url: str
) -> None:
    """Everybody can read the command line of a server that runs."""
    url = make_url(database_url).set(password=hidden.postgres)
    done = subprocess.run(
        [MAYWE, "config", f"--postgres-url={url.render_as_string(hide_password=False)}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == Exit.USAGE
    assert "MAYWE_POSTGRES_URL_FILE" in done.stderr
    hidden.assert_not_in("refusal", done.stdout + done.stderr)
