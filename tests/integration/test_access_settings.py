"""Servers that know their callers by settings of their own: limits, four eyes, rotation, tokens."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from maywe.v1 import consent_pb2

from service.access.table import TABLE
from tests.access import Guarded, ended_with
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.integration.service_builders import catalog
from tests.running import running_maywe
from tests.waiting import until

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def _retry_milliseconds(error: grpc.RpcError) -> int:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # the error is the call
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            return retry.retry_delay.ToMilliseconds()
    return 0


@pytest.fixture
def callers_file(tmp_path: Path) -> Path:
    """A file of callers, of whom one has narrow limits."""
    path = tmp_path / "callers.yaml"
    path.write_text(
        "callers:\n"
        "  - name: narrow\n"
        "    token: {subject: slow-subject}\n"
        "    roles: [decision.read]\n"
        "    calls_per_second: 2\n"
        "    streams: 1\n"
    )
    return path


class TestSettings:
    """Servers of their own: limits, four eyes, rotation."""

    @pytest.fixture
    def issuer(self, tmp_path: Path) -> TokenIssuer:
        """An issuer of its own."""
        return TokenIssuer(tmp_path / "keys.json")

    @pytest.fixture
    def system(
        self,
        database_url: str,
        redis_url: str,
        redis_namespace: str,
        issuer: TokenIssuer,
        callers_file: Path,
        request: pytest.FixtureRequest,
    ) -> Iterator[Guarded]:
        """A server whose callers the file and the issuer name."""
        with (
            running_maywe(
                database_url,
                redis_url,
                redis_namespace,
                token_keys=str(issuer.file),
                token_issuer=ISSUER,
                token_audience=AUDIENCE,
                callers_file=str(callers_file),
                **getattr(request, "param", {}),
            ) as maywe,
            grpc.insecure_channel(maywe.address) as channel,
        ):
            yield Guarded(maywe, channel, issuer)

    def test_calls_beyond_the_limit_are_refused_until_later(self, system: Guarded) -> None:
        """With the reason, and how long to wait."""
        token = system.issuer.token([], "slow-subject")
        errors = []
        for _ in range(6):
            try:
                system.answer(token, "DecisionService", "MayContact")
            except grpc.RpcError as error:
                errors.append(error)
        exhausted = [
            error for error in errors if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        ]
        assert exhausted
        assert _retry_milliseconds(exhausted[0]) > 0
        other = system.token("decision.read", subject="other")
        assert system.ended_with(other, "DecisionService", "MayContact") is INVALID

    def test_calls_that_are_refused_count_too(self, system: Guarded) -> None:
        """Else whoever may not call could call as often as they like."""
        token = system.issuer.token([], "slow-subject")

        def code() -> grpc.StatusCode:
            return system.ended_with(token, "ConsentService", "GetConsentCard")

        assert code() is DENIED
        until(lambda: code() is grpc.StatusCode.RESOURCE_EXHAUSTED)

    @pytest.fixture
    def one_stranger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One stranger in a second is all that a host may have; requested before the server."""
        monkeypatch.setattr("service.access.strangers.REFUSALS_PER_SECOND", 1)

    @pytest.mark.usefixtures("one_stranger")
    def test_a_flood_of_tokens_that_do_not_hold_is_not_verified(self, system: Guarded) -> None:
        """Who was identified before goes on; a new token has to wait for a moment."""
        known = system.token("decision.read")
        assert system.ended_with(known, "DecisionService", "MayContact") is INVALID
        bad = known[:-6] + "AAAAAA"

        def code(token: str) -> grpc.StatusCode:
            return system.ended_with(token, "DecisionService", "MayContact")

        assert code(bad) is UNKNOWN
        until(lambda: code(bad) is grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert code(known) is INVALID
        new = system.token("decision.read", subject="new")
        until(lambda: code(new) is INVALID)

    def test_streams_beyond_the_limit_are_refused_until_one_ends(self, system: Guarded) -> None:
        """Of that caller alone."""
        token = system.issuer.token([], "slow-subject")
        watch = system.channel.unary_stream(
            "/maywe.v1.ConsentService/WatchChanges",
            request_serializer=consent_pb2.WatchChangesRequest.SerializeToString,
            response_deserializer=consent_pb2.WatchChangesResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),)
        stream = watch(consent_pb2.WatchChangesRequest(), metadata=metadata)
        next(stream)

        def code() -> grpc.StatusCode:
            return system.ended_with(token, "ConsentService", "WatchChanges")

        assert code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stream.cancel()
        until(lambda: code() is grpc.StatusCode.OK)

    @pytest.mark.parametrize("system", [{"is_four_eyes": "true"}], indirect=True)
    def test_four_eyes_let_nobody_publish_what_only_they_handed_in(
        self, system: Guarded, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Even with both roles; and to the letter what was handed in. Who tries is logged."""
        ivanova = system.token("catalog.editor", "catalog.publisher", subject="ivanova")
        petrova = system.token("catalog.publisher", subject="petrova")
        document = json.dumps(catalog())

        def publish(token: str, document: str) -> grpc.StatusCode:
            return system.ended_with(
                token, "CatalogService", "Publish", publication_id="one", document=document
            )

        def hand_in(token: str) -> grpc.StatusCode:
            return system.ended_with(
                token, "CatalogService", "PreviewPublication", document=document, hand_in=True
            )

        precondition = grpc.StatusCode.FAILED_PRECONDITION
        assert publish(petrova, document) is precondition
        assert "refused /maywe.v1.CatalogService/Publish to petrova: four eyes" in caplog.text
        assert hand_in(petrova) is DENIED
        assert hand_in(ivanova) is grpc.StatusCode.OK
        assert publish(ivanova, document) is precondition
        assert publish(petrova, document + " ") is precondition
        assert publish(petrova, document) is grpc.StatusCode.OK

    @pytest.mark.parametrize("system", [{"is_four_eyes": "true"}], indirect=True)
    def test_nobody_is_two_by_being_a_customer_too(self, system: Guarded) -> None:
        """Whoever has no name of their own neither hands in nor publishes."""
        roles = ("catalog.editor", "catalog.publisher", "customer:anna")
        anna = system.token(*roles, subject="ivanova")
        fields = {"document": json.dumps(catalog())}
        for method, others in (
            ("PreviewPublication", {"hand_in": True}),
            ("Publish", {"publication_id": "one"}),
        ):
            ended = system.ended_with(anna, "CatalogService", method, **fields, **others)
            assert ended is DENIED, method
        preview = system.ended_with(anna, "CatalogService", "PreviewPublication", **fields)
        assert preview is grpc.StatusCode.OK

    @pytest.mark.parametrize("system", [{"is_four_eyes": "true"}], indirect=True)
    def test_what_was_handed_in_counts_for_the_next_publication_alone(
        self, system: Guarded
    ) -> None:
        """Else a publisher could alone bring back any catalog of before; a repeat is none."""
        editor = system.token("catalog.editor", subject="ivanova")
        publisher = system.token("catalog.publisher", subject="petrova")
        first, second = json.dumps(catalog()), json.dumps(catalog(), indent=1)

        def publish(publication_id: str, document: str) -> grpc.StatusCode:
            fields = {"publication_id": publication_id, "document": document}
            return system.ended_with(publisher, "CatalogService", "Publish", **fields)

        def hand_in(document: str) -> None:
            fields = {"document": document, "hand_in": True}
            system.answer(editor, "CatalogService", "PreviewPublication", **fields)

        precondition = grpc.StatusCode.FAILED_PRECONDITION
        hand_in(first)
        hand_in(second)
        assert publish("one", first) is grpc.StatusCode.OK
        assert publish("two", second) is precondition
        assert publish("two", first) is precondition
        assert publish("one", first) is grpc.StatusCode.OK
        hand_in(second)
        assert publish("two", second) is grpc.StatusCode.OK

    def test_keys_of_tokens_rotate_without_a_restart(self, system: Guarded) -> None:
        """A new key counts at once, one that is taken out no longer."""
        before = system.token("decision.read")
        assert system.ended_with(before, "DecisionService", "MayContact") is INVALID
        system.issuer.add_key("key-2")
        after = system.token("decision.read")
        assert system.ended_with(after, "DecisionService", "MayContact") is INVALID
        assert system.ended_with(before, "DecisionService", "MayContact") is INVALID
        system.issuer.remove_key("key-1")
        until(lambda: system.ended_with(before, "DecisionService", "MayContact") is UNKNOWN)
        assert system.ended_with(after, "DecisionService", "MayContact") is INVALID

    def test_the_file_of_callers_is_taken_over_when_it_changes(
        self, system: Guarded, callers_file: Path
    ) -> None:
        """And a faulty one is not."""
        token = system.issuer.token(["writer"], "new-subject")
        assert system.ended_with(token, "DecisionService", "MayContact") is DENIED
        named = "callers: [{name: new, token: {subject: new-subject}, roles: [decision.read]}]"
        callers_file.write_text(named)
        until(lambda: system.ended_with(token, "DecisionService", "MayContact") is INVALID)
        callers_file.write_text("callers: [{name: new}]")
        gate = system.maywe.application.gate
        assert gate is not None
        gate.refresh()
        assert system.ended_with(token, "DecisionService", "MayContact") is INVALID

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "https://other.example"},
            {"aud": "other"},
            {"exp": 1},
            {"exp": None},
            {"sub": None},
            {"nbf": 4_000_000_000},
            {"headers": {"kid": "unheard-of"}},
        ],
    )
    def test_a_token_that_does_not_hold_is_refused(
        self, system: Guarded, claims: dict[str, object]
    ) -> None:
        """Issuer, audience, end, subject, beginning and key."""
        token = system.issuer.token(["decision.read"], **{"subject": "x", **claims})  # type: ignore[arg-type]
        assert system.ended_with(token, "DecisionService", "MayContact") is UNKNOWN

    @pytest.mark.parametrize("system", [{"token_leeway_seconds": "0"}], indirect=True)
    def test_a_stream_ends_when_its_callers_token_does(
        self, system: Guarded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Although the stream itself would never end."""
        monkeypatch.setattr("service.guards.STREAM_LOOK_SECONDS", 0.0)
        monkeypatch.setattr("service.servicers.consent.HEARTBEAT_SECONDS", 0.01)
        token = system.issuer.token(["auditor"], exp=int(time.time()) + 2)
        watch = system.channel.unary_stream(
            "/maywe.v1.ConsentService/WatchChanges",
            request_serializer=consent_pb2.WatchChangesRequest.SerializeToString,
            response_deserializer=consent_pb2.WatchChangesResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),)
        stream = watch(consent_pb2.WatchChangesRequest(), metadata=metadata, timeout=60)
        with pytest.raises(grpc.RpcError) as raised:
            list(stream)
        assert raised.value.code() is UNKNOWN


def test_a_method_that_is_not_in_the_table_is_refused_to_everybody(
    database_url: str, redis_url: str, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody is identified: a new method is closed until somebody thought of it."""
    method = "/maywe.v1.ConsentService/GetConsentCard"
    # A table that lacks it, as after the method was added to the contract alone.
    monkeypatch.delitem(TABLE, method)
    with (
        running_maywe(database_url, redis_url, redis_namespace) as maywe,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        assert ended_with(channel, method, {"customer_id": "ivan"}) is DENIED
        other = "/maywe.v1.ConsentService/ListEvents"
        assert ended_with(channel, other) is grpc.StatusCode.OK
