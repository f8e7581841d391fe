"""Fixtures of the examples: a language at a time, and servers with and without credentials."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from service.application import ALL_ROLES
from service.client import open_client
from service.client.credentials import ClientCredentials
from service.composition import open_application
from service.server import RunningServer, running_server
from tests.authority import AUDIENCE, ISSUER, CertificateAuthority, TokenIssuer
from tests.clients.programs import LANGUAGES, SECONDS_MAX, Language
from tests.integration.ledger_builders import opened_ledger
from tests.integration.service_builders import catalog, consent
from tests.running import RunningMaywe, running_maywe, settings_for
from tests.servers import ServerUrls, new_database, remove_keys

CALLERS = """
callers:
  - name: acme
    certificate: {uri: "spiffe://partners.example/acme"}
    roles: ["partner:acme"]
  - name: unhurried
    token: {subject: unhurried}
    roles: [decision.read]
    calls_per_second: 1
  - name: one-stream
    token: {subject: one-stream}
    roles: [decision.read]
    streams: 1
"""


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    """Each language in turn; one that is not ready here is skipped, saying why."""
    found: Language = request.param
    missing = found.missing()
    if missing:
        pytest.skip(missing)
    return found


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system without credentials, with a catalog, of this test alone."""
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        running.publish(catalog())
        yield running


@pytest.fixture
def stores(database_url: str, redis_url: str, redis_namespace: str) -> Sequence[str]:
    """How a process is told of the stores of this test, in which anna always consents to calls."""
    with opened_ledger(database_url) as ledger:
        ledger.consent("anna")
    return (
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    )


@dataclass(frozen=True, slots=True)
class Secured:
    """A system that knows its callers, with ivan, who consented to everything.

    At `address` every client needs a certificate; at `token_address` TLS is enough for a token.
    """

    maywe: RunningMaywe
    address: str
    token_address: str
    authority: CertificateAuthority
    issuer: TokenIssuer
    directory: Path

    def by_token(self, *roles: str, subject: str = "somebody") -> list[str]:
        """Give the arguments of a program that shows a token."""
        return self.by_token_text(self.issuer.token(roles, subject))

    def by_token_text(self, text: str) -> list[str]:
        """Give the arguments of a program that shows this as its token."""
        token = self.directory / uuid.uuid4().hex
        token.write_text(f"{text}\n")
        return [
            f"--address={self.token_address}",
            f"--ca-file={self.authority.file}",
            f"--token-file={token}",
        ]

    def channel_by_token(self, subject: str) -> grpc.Channel:
        """Open a channel of our own, beside those of programs."""
        token = self.directory / uuid.uuid4().hex
        token.write_text(self.issuer.token([], subject))
        credentials = ClientCredentials(authority=self.authority.file, token=token)
        return credentials.channel(self.token_address, [])

    def by_certificate(self, uri: str) -> list[str]:
        """Give the arguments of a program that shows a certificate."""
        pair = self.authority.issue(uuid.uuid4().hex, uris=[uri])
        return [
            f"--address={self.address}",
            f"--ca-file={self.authority.file}",
            f"--certificate-file={pair.certificate}",
            f"--key-file={pair.key}",
        ]


@pytest.fixture(scope="module")
def secured(
    server_urls: ServerUrls, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    """A system with TLS, certificates and tokens, for the tests of a module."""
    directory = tmp_path_factory.mktemp("secured")
    authority = CertificateAuthority(directory)
    # By name: for Node an address is no name of a server.
    server = authority.issue("server", dns=["localhost"])
    issuer = TokenIssuer(directory / "keys.json")
    callers = directory / "callers.yaml"
    callers.write_text(CALLERS)
    namespace = f"maywe-test-{uuid.uuid4().hex}"
    with new_database(server_urls.postgres, template_url=template_database) as database_url:
        settings = settings_for(
            database_url,
            server_urls.redis,
            namespace,
            tls_certificate_file=str(server.certificate),
            tls_key_file=str(server.key),
            tls_client_ca_file=str(authority.file),
            callers_file=str(callers),
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
        )
        by_token = replace(settings, tls_client_ca_file="")
        everything = directory / "everything"
        everything.write_text(issuer.token(["writer", "catalog.publisher"]))
        with (
            open_application(settings, ALL_ROLES) as application,
            running_server(application, settings.listen) as mutual,
            running_server(replace(application, settings=by_token), settings.listen) as tokens,
            open_client(
                _named(tokens),
                _named(tokens),
                SECONDS_MAX,
                ClientCredentials(authority=authority.file, token=everything),
            ) as client,
        ):
            maywe = RunningMaywe(application, client, _named(tokens))
            # A publication says who published it, and may say so no other way.
            maywe.publish(catalog(), publisher="somebody")
            client.writer.RecordConsent(consent("ivan"))
            maywe.wait_until_projected()
            yield Secured(maywe, _named(mutual), _named(tokens), authority, issuer, directory)
        remove_keys(server_urls.redis, f"{namespace}:")


def _named(server: RunningServer) -> str:
    return server.address.replace("127.0.0.1", "localhost")
