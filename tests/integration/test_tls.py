"""TLS and mutual TLS: who is let in, by which certificate, and what is replaced while it runs."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from maywe.v1 import common_pb2
from sqlalchemy import Engine

from service.access.exposure import (
    ExposureError,
    check_control_exposure,
    check_server_exposure,
    is_loopback,
)
from service.application import ALL_ROLES
from service.cli.main import main
from service.client.credentials import ClientCredentials, CredentialsError
from service.composition import open_application
from service.control.client import ControlClient, Process
from service.control.server import ControlServer
from service.server import running_server
from service.settings import Settings, SettingsError, read_settings
from service.tls import CONTROL_NAME, TlsError, TlsFiles, server_credentials
from store.floors import CustomerFloor, Narrowing
from store.guard import GuardKeeper
from store.publications import Catalogs
from tests.access import METHODS, ended_with
from tests.authority import AUDIENCE, ISSUER, CertificateAuthority, Pair, TokenIssuer
from tests.integration.service_builders import catalog, consent, revocation
from tests.running import running_maywe, settings_for
from tests.servers import ServerUrls, new_database
from tests.waiting import until

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

CHECK = "/maywe.v1.DecisionService/MayContact"
CARD = "/maywe.v1.ConsentService/GetConsentCard"

SECONDS_MAX = 30.0

CALLERS = """
callers:
  - {name: dialer, certificate: {uri: "spiffe://bank.example/dialer"}, roles: [decision.read]}
  - {name: auditor, certificate: {dns: audit.example}, roles: [auditor]}
  - {name: operator, certificate: {common_name: Operator}, roles: [operator]}
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """A server by mutual TLS that takes tokens too."""

    address: str
    authority: CertificateAuthority
    server: Pair
    issuer: TokenIssuer
    directory: Path
    health_address: str

    def channel(
        self, pair: Pair | None, authority: CertificateAuthority | None = None
    ) -> grpc.Channel:
        """Give a channel with a certificate, and connections of its own."""
        credentials = grpc.ssl_channel_credentials(
            (authority or self.authority).file.read_bytes(),
            pair.key.read_bytes() if pair else None,
            pair.certificate.read_bytes() if pair else None,
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(self.address, credentials, options)

    def ended_with(self, pair: Pair | None, method: str, token: str = "") -> grpc.StatusCode:
        """Make a call with a certificate, over a new connection."""
        with self.channel(pair) as channel:
            return ended_with(channel, method, {}, token)


@pytest.fixture(scope="module")
def secured(
    server_urls: ServerUrls, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    """A server that knows three callers by certificate, and more by token."""
    directory = tmp_path_factory.mktemp("tls")
    authority = CertificateAuthority(directory)
    server = authority.issue("server", addresses=["127.0.0.1"])
    issuer = TokenIssuer(directory / "keys.json")
    callers = directory / "callers.yaml"
    callers.write_text(CALLERS)
    with new_database(server_urls.postgres, template_url=template_database) as database_url:
        settings = settings_for(
            database_url,
            server_urls.redis,
            f"maywe-test-{uuid.uuid4().hex}",
            tls_certificate_file=str(server.certificate),
            tls_key_file=str(server.key),
            tls_client_ca_file=str(authority.file),
            callers_file=str(callers),
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
            health_listen="127.0.0.1:0",
        )
        with (
            open_application(settings, ALL_ROLES) as application,
            running_server(application, settings.listen) as running,
        ):
            yield Secured(
                running.address, authority, server, issuer, directory, running.health_address
            )


def test_a_client_without_a_certificate_is_not_let_in(secured: Secured) -> None:
    """Nor one with a certificate of another authority, whatever it says."""
    stranger = CertificateAuthority(secured.directory, "stranger")
    forged = stranger.issue("forged", uris=["spiffe://bank.example/dialer"])
    assert secured.ended_with(None, CHECK) is UNAVAILABLE
    assert secured.ended_with(forged, CHECK) is UNAVAILABLE


def test_a_caller_is_known_by_uri_dns_name_or_common_name(secured: Secured) -> None:
    """Each entry of the file by the field that it names."""
    issue = secured.authority.issue
    dialer = issue("dialer", uris=["spiffe://bank.example/dialer"])
    auditor = issue("auditor", common_name="x", dns=["audit.example"])
    operator = issue("operator", common_name="Operator")
    assert secured.ended_with(dialer, CHECK) is INVALID
    assert secured.ended_with(dialer, CARD) is DENIED
    assert secured.ended_with(auditor, CARD) is INVALID
    assert secured.ended_with(auditor, CHECK) is DENIED
    assert secured.ended_with(operator, CHECK) is DENIED
    reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    assert secured.ended_with(operator, reflection) is grpc.StatusCode.OK


def test_a_name_in_another_field_counts_for_nothing(secured: Secured) -> None:
    """Whoever may choose a common name may not be whom a URI stands for."""
    posing = secured.authority.issue(
        "posing", common_name="audit.example", dns=["Operator"], uris=["dns:audit.example"]
    )
    assert secured.ended_with(posing, CHECK) is UNKNOWN


def test_a_certificate_of_several_callers_is_refused(secured: Secured) -> None:
    """It would not be clear who asks."""
    both = secured.authority.issue(
        "both", dns=["audit.example"], uris=["spiffe://bank.example/dialer"]
    )
    assert secured.ended_with(both, CHECK) is UNKNOWN


def test_a_token_goes_before_the_certificate(secured: Secured) -> None:
    """It says who asks; a token that does not hold is not made good by a certificate."""
    dialer = secured.authority.issue("dialer-2", uris=["spiffe://bank.example/dialer"])
    assert secured.ended_with(dialer, CARD, secured.issuer.token(["auditor"])) is INVALID
    assert secured.ended_with(dialer, CHECK, secured.issuer.token(["auditor"])) is DENIED
    assert secured.ended_with(dialer, CHECK, "faulty") is UNKNOWN


def test_health_needs_no_caller_but_a_connection(secured: Secured) -> None:
    """Whoever can connect may ask whether to come here."""
    anybody = secured.authority.issue("anybody", common_name="anybody")
    assert secured.ended_with(anybody, "/grpc.health.v1.Health/Check") is grpc.StatusCode.OK


def test_a_port_for_probes_answers_health_alone(secured: Secured) -> None:
    """Without TLS, which a probe may not know; anything else is not there."""
    with grpc.insecure_channel(secured.health_address) as channel:
        assert ended_with(channel, "/grpc.health.v1.Health/Check") is grpc.StatusCode.OK
        for method in METHODS:
            if not method.startswith("/grpc.health.v1.Health/"):
                assert ended_with(channel, method) is grpc.StatusCode.UNIMPLEMENTED


def test_certificate_and_authority_are_replaced_without_a_restart(secured: Secured) -> None:
    """New connections see the new ones; what does not fit together is left aside meanwhile."""
    new = CertificateAuthority(secured.directory, "new authority")
    pair = new.issue("server-new", addresses=["127.0.0.1"])
    dialer = new.issue("dialer-new", uris=["spiffe://bank.example/dialer"])
    old_dialer = secured.authority.issue("dialer-old", uris=["spiffe://bank.example/dialer"])
    before = {
        path: path.read_bytes()
        for path in (secured.server.certificate, secured.server.key, secured.authority.file)
    }
    try:
        _replace(secured.server.certificate, pair.certificate.read_bytes())
        # The key is still the old one: connections go on as before.
        assert secured.ended_with(old_dialer, CHECK) is INVALID
        _replace(secured.server.key, pair.key.read_bytes())
        both = before[secured.authority.file] + new.file.read_bytes()
        _replace(secured.authority.file, both)
        with secured.channel(dialer, new) as channel:
            assert ended_with(channel, CHECK) is INVALID
    finally:
        for path, data in before.items():
            _replace(path, data)


def test_the_command_line_shows_certificate_and_token(secured: Secured) -> None:
    """By flags or by the environment; a check of an unknown customer is a usage error here."""
    dialer = secured.authority.issue("dialer-3", uris=["spiffe://bank.example/dialer"])
    arguments = [
        "check", "contact", "ivan", "--purpose", "x", "--channel", "sms",
        "--address", secured.address, "--ca-file", str(secured.authority.file),
        "--certificate-file", str(dialer.certificate), "--key-file", str(dialer.key),
    ]  # fmt: skip
    by_certificate = CliRunner().invoke(main, arguments)
    assert "PERMISSION" not in by_certificate.output
    assert by_certificate.exit_code != 0
    token = secured.directory / "token"
    token.write_text(secured.issuer.token(["auditor"]) + "\n")
    by_token = CliRunner().invoke(main, arguments, env={"MAYWE_TOKEN_FILE": str(token)})
    assert "no role of the caller allows this call" in by_token.output
    assert token.read_text().strip() not in by_token.output


def _replace(path: Path, data: bytes) -> None:
    """Replace a file as a deployment does, at once."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


class TestClientCredentials:
    """What a client refuses to do."""

    def test_never_sends_a_token_in_the_clear_to_another_machine(self, tmp_path: Path) -> None:
        """On this one it may: nobody listens between."""
        token = tmp_path / "token"
        token.write_text("abc")
        with pytest.raises(CredentialsError, match="clear"):
            ClientCredentials(token=token).channel("10.0.0.1:1", [])
        ClientCredentials(token=token).channel("127.0.0.1:1", []).close()

    @pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "ключ"])
    def test_refuses_what_is_no_token(self, tmp_path: Path, text: str) -> None:
        """Before gRPC says so in words that show it."""
        token = tmp_path / "token"
        token.write_text(text)
        with pytest.raises(CredentialsError, match="no token"):
            ClientCredentials(token=token).channel("127.0.0.1:1", [])

    def test_a_certificate_needs_its_key_and_tls(self, tmp_path: Path) -> None:
        """Half of it would silently be nothing."""
        pair = CertificateAuthority(tmp_path).issue("c")
        with pytest.raises(CredentialsError, match="both"):
            ClientCredentials(certificate=pair.certificate).channel("127.0.0.1:1", [])
        with pytest.raises(CredentialsError, match="TLS"):
            ClientCredentials(None, pair.certificate, pair.key).channel("127.0.0.1:1", [])


class TestExposure:
    """Where a server may listen."""

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("127.0.0.1:1", True),
            ("127.9.9.9:1", True),
            ("[::1]:1", True),
            ("localhost:1", True),
            ("127.evil.example:1", False),
            ("0.0.0.0:1", False),
            ("[::]:1", False),
            ("10.0.0.1:1", False),
            ("maywe:1", False),
        ],
    )
    def test_loopback_is_told_from_what_looks_like_it(
        self, address: str, *, expected: bool
    ) -> None:
        """A name may begin with 127."""
        assert is_loopback(address) == expected

    def _settings(self, tmp_path: Path, **flags: str) -> Settings:
        return read_settings({"data_directory": str(tmp_path), **flags}, {})

    def test_elsewhere_than_on_loopback_it_needs_tls_and_callers(self, tmp_path: Path) -> None:
        """Each missing part is named, with the settings that give it."""
        pair = CertificateAuthority(tmp_path).issue("server")
        issuer = TokenIssuer(tmp_path / "keys.json")
        tls = {"tls_certificate_file": str(pair.certificate), "tls_key_file": str(pair.key)}
        tokens = {"token_keys": str(issuer.file), "token_issuer": "i", "token_audience": "a"}
        for flags, missing in (
            ({}, "MAYWE_TLS_CERTIFICATE_FILE.*MAYWE_TOKEN_KEYS"),
            (tls, "nothing tells callers apart"),
            (tokens, "in the clear"),
        ):
            settings = self._settings(tmp_path, **flags)
            with pytest.raises(ExposureError, match=missing):
                check_server_exposure(settings, "10.0.0.1:7443")
            check_server_exposure(settings, "127.0.0.1:7443")
        check_server_exposure(self._settings(tmp_path, **tls, **tokens), "10.0.0.1:7443")

    def test_a_control_port_for_others_needs_certificates(self, tmp_path: Path) -> None:
        """Whoever reaches it could hold up every answer from the cache."""
        settings = self._settings(tmp_path, control_listen="10.0.0.1:7444")
        with pytest.raises(ExposureError, match="MAYWE_CONTROL_CERTIFICATE_FILE"):
            check_control_exposure(settings)

    @pytest.mark.parametrize("role", ["decision", "writer", "all", "worker"])
    def test_serve_refuses_before_it_starts_anything(self, tmp_path: Path, role: str) -> None:
        """With what to do, and as a wrong setting."""
        arguments = [
            "serve",
            role,
            "--listen",
            "0.0.0.0:0",
            "--data-directory",
            str(tmp_path / "d"),
        ]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 64
        assert "MAYWE_TLS_CERTIFICATE_FILE" in result.output
        assert not (tmp_path / "d").exists()

    @pytest.mark.parametrize("given", ["tls_certificate_file", "tls_client_ca_file", "token_keys"])
    def test_half_of_the_credentials_is_refused(self, tmp_path: Path, given: str) -> None:
        """It would look protected."""
        file = CertificateAuthority(tmp_path).file
        with pytest.raises(SettingsError, match="MAYWE_"):
            self._settings(tmp_path, **{given: str(file)})

    def test_four_eyes_need_known_callers(self, tmp_path: Path) -> None:
        """Else nobody could tell two from one."""
        with pytest.raises(SettingsError, match="MAYWE_FOUR_EYES"):
            self._settings(tmp_path, is_four_eyes="true")

    @pytest.mark.parametrize("url", ["http://issuer.example/keys", "ftp://x/keys", "https:///keys"])
    def test_keys_are_not_fetched_in_the_clear(self, tmp_path: Path, url: str) -> None:
        """Whoever can change them on the way can be anybody."""
        with pytest.raises(SettingsError, match="--token-keys"):
            self._settings(tmp_path, token_keys=url)

    def test_with_nothing_configured_it_says_so(
        self,
        database_url: str,
        redis_url: str,
        redis_namespace: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Once, at the start."""
        with (
            caplog.at_level(logging.WARNING),
            running_maywe(database_url, redis_url, redis_namespace),
        ):
            pass
        said = [text for text in caplog.messages if "no credentials are configured" in text]
        assert len(said) == 1


def test_a_faulty_pair_keeps_the_server_from_starting(tmp_path: Path) -> None:
    """The file is named; nothing of the key is."""
    authority = CertificateAuthority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(TlsError, match=r"one\.pem and .*other\.key are no certificate and its"):
        server_credentials(TlsFiles(one.certificate, other.key, None))
    with pytest.raises(TlsError, match="no certificate of an authority"):
        server_credentials(TlsFiles(one.certificate, one.key, one.key))


class TestControl:
    """The way from writers to decision servers, by mutual TLS."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> CertificateAuthority:
        """The installation's own."""
        return CertificateAuthority(tmp_path)

    @pytest.fixture
    def ours(self, authority: CertificateAuthority) -> TlsFiles:
        """What every process of the installation has."""
        pair = authority.issue("control", dns=[CONTROL_NAME])
        return TlsFiles(pair.certificate, pair.key, authority.file)

    def _tell(self, files: TlsFiles | None, address: str) -> bool:
        client = ControlClient(files)
        told: list[bool] = []
        try:
            narrowing = Narrowing(1, [CustomerFloor("ivan", 1, 1)])
            client.tell(Process("p", address), narrowing, told.append)
            until(lambda: bool(told))
        finally:
            client.close()
        return told[0]

    def test_only_the_installations_processes_are_heeded(
        self, no_postgresql: Engine, authority: CertificateAuthority, ours: TlsFiles, tmp_path: Path
    ) -> None:
        """Not who has no certificate, another authority's, or one of ours that is for clients."""
        keeper = GuardKeeper()
        client_pair = authority.issue("client", dns=["dialer.example"])
        stranger = CertificateAuthority(tmp_path, "stranger")
        forged = stranger.issue("forged", dns=[CONTROL_NAME])
        with ControlServer(keeper, Catalogs(no_postgresql), "p", "127.0.0.1:0", ours) as server:
            assert self._tell(ours, server.address)
            assert not self._tell(None, server.address)
            for pair in (client_pair, forged):
                files = TlsFiles(pair.certificate, pair.key, authority.file)
                assert not self._tell(files, server.address)

    def test_a_writer_does_not_believe_an_impostor(
        self, no_postgresql: Engine, authority: CertificateAuthority, ours: TlsFiles
    ) -> None:
        """Its answer would make a write effective that nobody heeds."""
        pair = authority.issue("impostor", dns=["dialer.example"], addresses=["127.0.0.1"])
        files = TlsFiles(pair.certificate, pair.key, authority.file)
        keeper = GuardKeeper()
        with ControlServer(keeper, Catalogs(no_postgresql), "p", "127.0.0.1:0", files) as server:
            assert not self._tell(ours, server.address)

    def test_a_write_is_effective_by_it(
        self, database_url: str, redis_url: str, redis_namespace: str, ours: TlsFiles
    ) -> None:
        """The whole installation, with every process by its certificate."""
        with running_maywe(
            database_url,
            redis_url,
            redis_namespace,
            ALL_ROLES,
            control_certificate_file=str(ours.certificate),
            control_key_file=str(ours.key),
            control_ca_file=str(ours.authority),
        ) as maywe:
            maywe.publish(catalog())
            maywe.client.writer.RecordConsent(consent())
            answer = maywe.client.writer.Revoke(revocation())
            assert answer.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE

    def test_certificates_are_replaced_while_it_runs(
        self, no_postgresql: Engine, tmp_path: Path, ours: TlsFiles
    ) -> None:
        """Those of the server at once, a writer's when its own are no longer taken."""
        keeper = GuardKeeper()
        client = ControlClient(ours)
        catalogs = Catalogs(no_postgresql)

        def tell(process: Process) -> bool:
            told: list[bool] = []
            narrowing = Narrowing(1, [CustomerFloor("ivan", 1, 1)])
            client.tell(process, narrowing, told.append)
            until(lambda: bool(told))
            return told[0]

        try:
            with ControlServer(keeper, catalogs, "p", "127.0.0.1:0", ours) as server:
                process = Process("p", server.address)
                assert tell(process)
            new = CertificateAuthority(tmp_path, "second")
            pair = new.issue("control-2", dns=[CONTROL_NAME])
            assert ours.authority is not None
            _replace(ours.certificate, pair.certificate.read_bytes())
            _replace(ours.key, pair.key.read_bytes())
            _replace(ours.authority, new.file.read_bytes())
            with ControlServer(keeper, catalogs, "p", process.address, ours):
                until(lambda: tell(process))
        finally:
            client.close()
