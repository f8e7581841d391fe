"""The server that is attacked: a process of its own, with callers, a catalog and some customers.

What lives here: starting it, calling it with any bytes as anybody, and what it leaves behind: its
log, and how much memory it ever took.
"""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from service.access.roles import RoleKind
from tests.access import Guarded, first_answer
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.integration.service_builders import catalog, consent, purchase
from tests.integration.test_serving import MAYWE
from tests.servers import ServerUrls, new_database

CALL_SECONDS_MAX: Final = 30.0
"""A bound against hanging; nothing that is sent here takes a second."""

ANSWERS_MAX: Final = 20
"""Of a stream that may go on for ever so many messages are read."""

CUSTOMERS: Final = ("ivan", "olga", "petr", "vera")

ROLES: Final = tuple(
    f"{kind.value}:{of}"
    if (of := {"partner": "acme", "customer": "olga"}.get(kind.value))
    else kind.value
    for kind in RoleKind
)
"""One role of each kind."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a call: its status, and whatever the server said."""

    code: grpc.StatusCode
    details: str
    trailers: Sequence[tuple[str, str | bytes]]
    answers: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """A running server and what is needed to attack it."""

    process: "subprocess.Popen[str]"
    address: str
    channel: grpc.Channel
    issuer: TokenIssuer
    log_path: Path

    def call(
        self,
        method: str,
        messages: Iterable[bytes],
        roles: Sequence[str] = (),
        answers_max: int = ANSWERS_MAX,
        **options: Any,
    ) -> Ended:
        """Call a method with any bytes, as somebody with these roles; without any as a stranger.

        On the wire every call is a stream of messages. One that goes on is left after some answers.
        """
        metadata: tuple[tuple[str, str], ...] = ()
        if roles:
            token = self.issuer.token(roles, subject=f"somebody-{len(roles)}")
            metadata = (("authorization", f"Bearer {token}"),)
        # Without functions that read and write messages the types of grpc want bytes.
        calling: Any = self.channel.stream_stream(method)
        call = calling(iter(messages), timeout=CALL_SECONDS_MAX, metadata=metadata, **options)
        answers = []
        try:
            for answer in call:
                answers.append(answer)
                if len(answers) >= answers_max:
                    call.cancel()
                    return Ended(grpc.StatusCode.OK, "", (), answers)
        except grpc.RpcError as error:
            failed: Any = error
            return Ended(
                failed.code(),
                failed.details() or "",
                tuple(failed.trailing_metadata() or ()),
                answers,
            )
        return Ended(grpc.StatusCode.OK, "", (), answers)

    @property
    def memory_peak_bytes(self) -> int:
        """How much memory the process ever had at once."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def log(self) -> str:
        """What the process has logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def assert_serves(self) -> None:
        """It lives, and answers a plain question."""
        assert self.process.poll() is None, self.log[-4000:]
        ended = self.call("/grpc.health.v1.Health/Check", [b""])
        assert ended.code is grpc.StatusCode.OK, ended


@contextmanager
def running_target(
    urls: ServerUrls, template_database: str, directory: Path, *options: str
) -> Iterator[Target]:
    """Serve everything in a process of its own, with nobody but those who have tokens."""
    issuer = TokenIssuer(directory / "keys.json")
    log_path = directory / "server.log"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")
    }
    with (
        new_database(urls.postgres, template_url=template_database) as database_url,
        log_path.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [
                MAYWE,
                "serve",
                "all",
                "--listen=127.0.0.1:0",
                f"--token-keys={issuer.file}",
                f"--token-issuer={ISSUER}",
                f"--token-audience={AUDIENCE}",
                f"--redis-namespace=maywe-test-{uuid.uuid4().hex}",
                "--bulk-processes=1",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment | {"MAYWE_POSTGRES_URL": database_url, "MAYWE_REDIS_URL": urls.redis},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", line)
            assert found is not None, log_path.read_text(encoding="utf-8")
            channel_options = [("grpc.max_receive_message_length", -1)]
            with grpc.insecure_channel(found[1], channel_options) as channel:
                target = Target(process, found[1], channel, issuer, log_path)
                _furnish(target)
                yield target
        finally:
            process.kill()


def _furnish(target: Target) -> None:
    """Publish a catalog and record something of each customer."""
    guarded = Guarded(None, target.channel, target.issuer)  # type: ignore[arg-type]  # not ours
    publisher = guarded.token("catalog.publisher")
    guarded.answer(
        publisher,
        "CatalogService",
        "Publish",
        publication_id="first",
        document=json.dumps(document()),
    )
    writer = guarded.token("writer")
    for customer_id in CUSTOMERS:
        for request, name in (
            (consent(customer_id, event_id=f"e-{customer_id}"), "RecordConsent"),
            (purchase(customer_id, event_id=f"p-{customer_id}"), "RecordPurchase"),
        ):
            first_answer(target.channel, f"/maywe.v1.WriterService/{name}", request, writer)


def document() -> dict[str, Any]:
    """The catalog that is published at first."""
    return catalog(datasets=[{"code": "contacts"}, {"code": "income"}])
