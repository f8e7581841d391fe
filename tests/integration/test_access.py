"""Who may call what, call by call for every role, against a real server that knows its callers."""

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from maywe.v1 import (
    catalog_pb2,
    common_pb2,
    consent_pb2,
    decision_pb2,
    event_pb2,
    writer_pb2,
)

from service.access.roles import RoleKind
from service.access.table import DOCUMENT, TABLE, Open, table_text
from tests.access import METHODS, Guarded, ended_with, first_answer
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.integration.service_builders import at, catalog, consent, new_id
from tests.running import running_maywe
from tests.servers import ServerUrls, new_database

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def guarded(
    server_urls: ServerUrls, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A server with a catalog and one customer, olga, who is also olga-2."""
    issuer = TokenIssuer(tmp_path_factory.mktemp("access") / "keys.json")
    namespace = f"maywe-test-{uuid.uuid4().hex}"
    with (
        new_database(server_urls.postgres, template_url=template_database) as database_url,
        running_maywe(
            database_url,
            server_urls.redis,
            namespace,
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
        ) as maywe,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        system = Guarded(maywe, channel, issuer)
        publisher = system.token("catalog.publisher", subject="petrova")
        system.answer(
            publisher,
            "CatalogService",
            "Publish",
            publication_id="first",
            document=json.dumps(catalog()),
        )
        writer = system.token("writer", subject="crm")
        first_answer(
            channel,
            "/maywe.v1.WriterService/RecordConsent",
            consent(customer_id="olga", event_id="olga-consent"),
            writer,
        )
        system.answer(
            writer,
            "WriterService",
            "MergeCustomers",
            event_id="olga-merge",
            from_customer_id="olga-2",
            into_customer_id="olga",
        )
        yield system


ROLES = {
    RoleKind.PARTNER: "partner:acme",
    RoleKind.CUSTOMER: "customer:olga",
}

OWN: dict[str, Mapping[str, Any]] = {
    "/maywe.v1.DecisionService/MayShare": {
        "customer_id": "olga",
        "partner": "acme",
        "datasets": ["contacts"],
        "purpose": "advertising",
    },
    "/maywe.v1.DecisionService/Explain": {"customer_id": "olga"},
    "/maywe.v1.WriterService/Revoke": {"customer_id": "olga"},
    "/maywe.v1.ConsentService/GetConsentCard": {"customer_id": "olga"},
}
"""What partners and customers may ask; of all others an empty request tells enough."""


def test_the_table_has_every_method_that_is_served_and_no_other() -> None:
    """A method of the contract that nobody thought of fails here."""
    assert set(TABLE) == set(METHODS)


def test_the_document_shows_the_table_of_the_code() -> None:
    """docs/security.md was written anew after the table changed."""
    assert table_text() in DOCUMENT.read_text(encoding="utf-8")


def test_at_most_one_kind_of_role_is_held_to_its_own_in_each_method() -> None:
    """Of several rules it would not be clear which one counts."""
    for rules in TABLE.values():
        if not isinstance(rules, Open):
            assert sum(rule.check is not None for rule in rules.values()) <= 1


def test_a_method_that_takes_a_stream_knows_no_rule_about_its_request() -> None:
    """Rules look at one request, and would let a stream through unseen."""
    streams = {"FilterAudience", "ImportEvents", "ListAllowed", "WatchChanges"}
    for method, rules in TABLE.items():
        if method.rpartition("/")[2] in streams and not isinstance(rules, Open):
            assert all(rule.check is None for rule in rules.values())


def _documented() -> dict[tuple[str, str], bool]:
    """What docs/security.md says: whether a role, as written there, may make a call."""
    lines = [
        [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        for line in table_text().splitlines()
    ]
    roles = lines[0][1:]
    return {
        (line[0], role): bool(cell)
        for line in lines[2:]
        for role, cell in zip(roles, line[1:], strict=True)
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", list(RoleKind))
def test_each_role_may_make_the_calls_of_the_table_and_no_other(
    guarded: Guarded, method: str, kind: RoleKind
) -> None:
    """As the server answers, not as the code reads."""
    token = guarded.token(ROLES.get(kind, kind.value))
    code = ended_with(guarded.channel, method, OWN.get(method), token)
    service, _, name = method[1:].partition("/")
    may = _documented()[f"{service.rpartition('.')[2]}.{name}", kind.shown]
    assert code is not UNKNOWN
    assert (code is not DENIED) == may, code


@pytest.mark.parametrize("method", METHODS)
def test_without_credentials_nothing_can_be_called_but_health(
    guarded: Guarded, method: str
) -> None:
    """Probes have none; reflection is a call like others."""
    code = ended_with(guarded.channel, method, OWN.get(method))
    assert (code is not UNKNOWN) == isinstance(TABLE[method], Open), code


def _share(customer_id: str, **others: object) -> dict[str, object]:
    return {
        "customer_id": customer_id,
        "partner": "acme",
        "datasets": ["contacts"],
        "purpose": "advertising",
        **others,
    }


def _all_that_is_told(
    guarded: Guarded, bearer: str, customer_id: str, **others: object
) -> tuple[object, ...]:
    """Whatever a caller can see of a share: the answer but for its id and instant, and the rest."""
    request = decision_pb2.MayShareRequest(**(_share(customer_id) | others))  # type: ignore[arg-type]
    method = guarded.channel.unary_unary(
        "/maywe.v1.DecisionService/MayShare",
        request_serializer=decision_pb2.MayShareRequest.SerializeToString,
        response_deserializer=decision_pb2.MayShareResponse.FromString,
    )
    # The request's id is the caller's own here, as one that is drawn is another each time.
    metadata = (("authorization", f"Bearer {bearer}"), ("x-request-id", "one-of-ours"))
    try:
        answer, call = method.with_call(request, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        failed: Any = error
        return failed.code(), failed.details(), tuple(failed.trailing_metadata())
    assert isinstance(answer, decision_pb2.MayShareResponse)
    answer.ClearField("decision_id")
    answer.ClearField("decided_at")
    told = answer.SerializeToString(deterministic=True)
    return told, tuple(call.initial_metadata()), tuple(call.trailing_metadata())


class TestPartner:
    """What a partner may ask, and what it is told."""

    def test_may_not_ask_for_another_even_one_that_does_not_exist(self, guarded: Guarded) -> None:
        """The refusal is the same, so that it does not tell who else is a partner."""
        token = guarded.token("partner:other")
        for partner in ("acme", "nobody"):
            with pytest.raises(grpc.RpcError) as raised:
                guarded.answer(
                    token, "DecisionService", "MayShare", **_share("olga", partner=partner)
                )
            assert raised.value.code() is DENIED
            assert "itself alone" in str(raised.value.details())

    def test_is_told_alike_of_who_is_unknown_and_who_said_no(self, guarded: Guarded) -> None:
        """But for the id of the answer and the instant, to the byte."""
        writer = guarded.token("writer", subject="crm")
        first_answer(
            guarded.channel,
            "/maywe.v1.WriterService/RecordConsent",
            consent(customer_id="refuser", value="refused"),
            writer,
        )
        token = guarded.token("partner:acme")
        answers = []
        for customer_id in ("refuser", "made-up"):
            answer = guarded.answer(token, "DecisionService", "MayShare", **_share(customer_id))
            assert isinstance(answer, decision_pb2.MayShareResponse)
            assert answer.decision_id
            answer.ClearField("decision_id")
            answer.ClearField("decided_at")
            answers.append(answer.SerializeToString(deterministic=True))
        assert answers[0] == answers[1]
        told = decision_pb2.MayShareResponse.FromString(answers[0])
        assert told.reason == told.datasets[0].reason == common_pb2.REASON_WITHHELD

    @pytest.mark.usefixtures("nobody_watches")
    def test_sees_no_difference_between_who_is_unknown_and_anybody_who_is_not_allowed(
        self, guarded: Guarded
    ) -> None:
        """Whatever became of them: neither in the answer nor in what comes with it."""
        writer = guarded.token("writer", subject="crm")

        def record(name: str, **fields: Any) -> None:
            guarded.answer(writer, "WriterService", name, event_id=new_id(), **fields)

        long_ago, then = at("2024-01-01T00:00:00Z"), at("2024-02-01T00:00:00Z")
        given = {"obtained_at": long_ago, "consent_type": "marketing", "value": "granted"}
        everything = common_pb2.Selector(all=True)
        for name in ("revoked", "restricted", "erased", "split-off"):
            record("RecordConsent", customer_id=name, **given)
        record("RecordConsent", customer_id="asked", **(given | {"value": "asked_later"}))
        record("Revoke", customer_id="revoked", revoked_at=then, selector=everything)
        record(
            "Restrict",
            customer_id="restricted",
            kind="complaint",
            effective_from=then,
            selector=everything,
        )
        record("Revoke", customer_id="merged", revoked_at=then, selector=everything)
        record("MergeCustomers", from_customer_id="merged", into_customer_id="revoked")
        record("MergeCustomers", from_customer_id="split-off", into_customer_id="revoked")
        operator = guarded.token("operator")
        guarded.answer(
            operator, "WriterService", "EraseCustomer", event_id=new_id(), customer_id="erased"
        )
        token = guarded.token("partner:acme")
        told = {
            name: _all_that_is_told(guarded, token, name)
            for name in (
                "revoked",
                "restricted",
                "erased",
                "asked",
                "merged",
                "split-off",
                "made-up",
            )
        }
        assert all(one == told["made-up"] for one in told.values()), told

    def test_is_told_the_same_of_anybody_when_the_question_is_faulty(
        self, guarded: Guarded
    ) -> None:
        """What is wrong is said of the question alone."""
        token = guarded.token("partner:acme")
        faults: tuple[dict[str, Any], ...] = (
            {"datasets": ["unheard-of"]},
            {"datasets": []},
            {"purpose": ""},
            {"at": at("2001-01-01T00:00:00Z")},
            {"token": "x"},
            {"partner": "other"},
        )
        for fault in faults:
            told = [
                _all_that_is_told(guarded, token, name, **fault) for name in ("olga", "made-up")
            ]
            assert told[0] == told[1]

    def test_can_not_count_what_others_ask(self, guarded: Guarded) -> None:
        """Ids of answers in a row have nothing in common, and no order."""
        token = guarded.token("partner:acme")
        ids = []
        for _ in range(20):
            answer = guarded.answer(token, "DecisionService", "MayShare", **_share("olga"))
            assert isinstance(answer, decision_pb2.MayShareResponse)
            ids.append(answer.decision_id)
        assert len(set(ids)) == len(ids)
        assert len({one[:8] for one in ids}) == len({one[-8:] for one in ids}) == len(ids)
        assert sorted(ids) not in (ids, ids[::-1])

    def test_is_told_what_is_allowed_and_until_when_and_not_why(self, guarded: Guarded) -> None:
        """No basis, which names a contract, and no version, which tells of changes."""
        token = guarded.token("partner:acme")
        answer = guarded.answer(token, "DecisionService", "MayShare", **_share("olga"))
        assert isinstance(answer, decision_pb2.MayShareResponse)
        assert answer.verdict == common_pb2.VERDICT_ALLOW
        assert {field.name for field, _ in answer.ListFields()} == {
            "verdict",
            "reason",
            "not_after",
            "datasets",
            "allowed_datasets",
            "decided_at",
            "decision_id",
        }
        assert {field.name for field, _ in answer.datasets[0].ListFields()} == {
            "dataset",
            "verdict",
            "reason",
            "not_after",
        }

    def test_is_refused_a_token_of_a_write(self, guarded: Guarded) -> None:
        """It would tell whether that write concerns the customer."""
        token = guarded.token("partner:acme")
        request = decision_pb2.MayShareRequest(**_share("olga"), token="x")  # type: ignore[arg-type]  # noqa: S106 - no secret
        method = "/maywe.v1.DecisionService/MayShare"
        assert ended_with(guarded.channel, method, request, token) is INVALID

    def test_with_decision_read_too_is_answered_in_full(self, guarded: Guarded) -> None:
        """Several roles add up."""
        token = guarded.token("partner:other", "decision.read")
        answer = guarded.answer(token, "DecisionService", "MayShare", **_share("olga"))
        assert isinstance(answer, decision_pb2.MayShareResponse)
        assert answer.datasets[0].HasField("basis")


class TestCustomer:
    """What a customer may see and do."""

    def test_sees_their_own_and_that_of_merged_ids(self, guarded: Guarded) -> None:
        """By any id of theirs, whichever their token names."""
        for own in ("olga", "olga-2"):
            token = guarded.token(f"customer:{own}")
            for asked in ("olga", "olga-2"):
                card = guarded.answer(token, "ConsentService", "GetConsentCard", customer_id=asked)
                assert isinstance(card, consent_pb2.GetConsentCardResponse)
                assert list(card.customer_ids) == ["olga", "olga-2"]

    @pytest.mark.parametrize("other", ["petr", "nobody-at-all", "olga\0", "ольга", ""])
    def test_is_refused_the_same_whether_another_exists_or_not(
        self, guarded: Guarded, other: str
    ) -> None:
        """The refusal does not tell."""
        writer = guarded.token("writer", subject="crm")
        first_answer(
            guarded.channel,
            "/maywe.v1.WriterService/RecordConsent",
            consent(customer_id="petr"),
            writer,
        )
        token = guarded.token("customer:olga")
        for service, name in (
            ("ConsentService", "GetConsentCard"),
            ("DecisionService", "Explain"),
            ("WriterService", "Revoke"),
        ):
            assert guarded.ended_with(token, service, name, customer_id=other) is DENIED

    def test_may_not_ask_what_was_known_earlier(self, guarded: Guarded) -> None:
        """Then somebody else may have been taken for them."""
        token = guarded.token("customer:olga")
        known = at("2026-01-01T00:00:00Z")
        code = guarded.ended_with(
            token, "ConsentService", "GetConsentCard", customer_id="olga", known_at=known
        )
        assert code is INVALID

    def test_is_not_shown_who_was_taken_for_them(self, guarded: Guarded) -> None:
        """After a split nothing of the other one is left, not even the id."""
        writer = guarded.token("writer", subject="crm")
        for customer_id in ("anna", "maria"):
            first_answer(
                guarded.channel,
                "/maywe.v1.WriterService/RecordConsent",
                consent(customer_id=customer_id),
                writer,
            )
        guarded.answer(
            writer,
            "WriterService",
            "MergeCustomers",
            event_id=new_id(),
            from_customer_id="maria",
            into_customer_id="anna",
        )
        guarded.answer(
            writer, "WriterService", "SplitCustomer", event_id=new_id(), customer_id="maria"
        )
        question = {"contact": common_pb2.ContactQuestion(channel="sms", purpose="advertising")}
        for own, other in (("anna", "maria"), ("maria", "anna")):
            token = guarded.token(f"customer:{own}")
            explained = guarded.answer(
                token, "DecisionService", "Explain", customer_id=own, **question
            )
            assert own in str(explained)
            assert other not in str(explained)
            card = guarded.answer(token, "ConsentService", "GetConsentCard", customer_id=own)
            assert other not in str(card)
            assert (
                guarded.ended_with(token, "ConsentService", "GetConsentCard", customer_id=other)
                is DENIED
            )

    def test_is_not_told_who_of_the_bank_did_it(self, guarded: Guarded) -> None:
        """Who recorded and who published is for auditors."""
        recorded = consent(customer_id="yulia")
        recorded.source.recorded_by = "clerk-7"
        method = "/maywe.v1.WriterService/RecordConsent"
        first_answer(guarded.channel, method, recorded, guarded.token("writer", subject="crm"))
        contact = common_pb2.ContactQuestion(channel="sms", purpose="advertising")

        def shown(role: str) -> str:
            token = guarded.token(role)
            card = guarded.answer(token, "ConsentService", "GetConsentCard", customer_id="yulia")
            explained = guarded.answer(
                token, "DecisionService", "Explain", customer_id="yulia", contact=contact
            )
            return f"{card}{explained}"

        own, whole = shown("customer:yulia"), shown("auditor")
        for name in ("clerk-7", "petrova", "crm"):
            assert name in whole
            assert name not in own

    def test_revokes_under_an_id_of_the_customers_kind(self, guarded: Guarded) -> None:
        """Others' ids they could take away from whoever is about to use them."""
        token = guarded.token("customer:olga-3")
        revocation = {
            "customer_id": "olga-3",
            "revoked_at": at("2026-01-01T00:00:00Z"),
            "selector": common_pb2.Selector(all=True),
        }
        code = guarded.ended_with(token, "WriterService", "Revoke", event_id="x-1", **revocation)
        assert code is INVALID
        answer = guarded.answer(
            token, "WriterService", "Revoke", event_id="customer/x-1", **revocation
        )
        assert isinstance(answer, writer_pb2.RevokeResponse)


class TestRecordedCaller:
    """Every change in the ledger says who made it."""

    def _events(self, guarded: Guarded, customer_id: str) -> list[event_pb2.RecordedEvent]:
        answer = guarded.answer(
            guarded.token("auditor"), "ConsentService", "ListEvents", customer_id=customer_id
        )
        assert isinstance(answer, consent_pb2.ListEventsResponse)
        return list(answer.events)

    def test_is_who_sent_the_event_first(self, guarded: Guarded) -> None:
        """The same event sent again by somebody else is a repeat, and changes nothing."""
        event = consent(customer_id="vera")
        for subject in ("crm", "branch"):
            answer = first_answer(
                guarded.channel,
                "/maywe.v1.WriterService/RecordConsent",
                event,
                guarded.token("writer", subject=subject),
            )
            assert answer.acknowledgement.repeat == (subject == "branch")
        assert [one.caller for one in self._events(guarded, "vera")] == ["crm"]

    def test_is_who_erased_and_told_counts_alone(self, guarded: Guarded) -> None:
        """Whoever erases sees nobody's data, and stands in the ledger for it."""
        first_answer(
            guarded.channel,
            "/maywe.v1.WriterService/RecordConsent",
            consent(customer_id="lida"),
            guarded.token("writer", subject="crm"),
        )
        answer = guarded.answer(
            guarded.token("operator", subject="officer"),
            "WriterService",
            "EraseCustomer",
            event_id="erasure-of-somebody",
            customer_id="lida",
        )
        assert isinstance(answer, writer_pb2.EraseCustomerResponse)
        assert answer.event_count == 2
        assert "lida" not in str(answer)
        listed = guarded.answer(guarded.token("auditor"), "ConsentService", "ListEvents")
        assert isinstance(listed, consent_pb2.ListEventsResponse)
        assert "lida" not in str(listed)
        erased_by = [one.caller for one in listed.events if one.event.HasField("erasure")]
        assert erased_by[-1] == "officer"

    def test_is_no_customers_name(self, guarded: Guarded) -> None:
        """The ledger keeps no person's name where it can not be erased."""
        token = guarded.issuer.token(["customer:zoya"], "zoya@mail.example")
        guarded.answer(
            token,
            "WriterService",
            "Revoke",
            event_id="customer/zoya-1",
            customer_id="zoya",
            revoked_at=at("2026-01-01T00:00:00Z"),
            selector=common_pb2.Selector(all=True),
        )
        assert [one.caller for one in self._events(guarded, "zoya")] == ["customer"]

    @pytest.mark.parametrize("kind", ["consent", "merge"])
    def test_is_who_imported(self, guarded: Guarded, kind: str) -> None:
        """Also where a worker records the events."""
        customer_id = f"imported-{kind}"
        event = (
            event_pb2.Event(consent=consent(customer_id=customer_id))
            if kind == "consent"
            else event_pb2.Event(
                merge=event_pb2.MergeCustomersRequest(
                    event_id=new_id(), from_customer_id=customer_id, into_customer_id="target"
                )
            )
        )
        importing = guarded.channel.stream_stream(
            "/maywe.v1.WriterService/ImportEvents",
            request_serializer=writer_pb2.ImportEventsRequest.SerializeToString,
            response_deserializer=writer_pb2.ImportEventsResponse.FromString,
        )
        requests = [
            writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id=customer_id)),
            writer_pb2.ImportEventsRequest(
                chunk=writer_pb2.ImportChunk(items=[writer_pb2.ImportItem(position=1, event=event)])
            ),
        ]
        token = guarded.token("writer", subject="loader")
        answers = list(
            importing(iter(requests), metadata=(("authorization", f"Bearer {token}"),), timeout=60)
        )
        assert answers[-1].summary.counts.accepted_count == 1
        assert [one.caller for one in self._events(guarded, customer_id)] == ["loader"]

    def test_of_a_publication_is_its_publisher(self, guarded: Guarded) -> None:
        """Nobody publishes in another's name."""
        token = guarded.token("catalog.publisher", subject="petrova")
        asked = {"publication_id": "first", "document": json.dumps(catalog())}
        code = guarded.ended_with(token, "CatalogService", "Publish", publisher="x", **asked)
        assert code is DENIED
        listed = guarded.answer(token, "CatalogService", "ListPublications")
        assert isinstance(listed, catalog_pb2.ListPublicationsResponse)
        assert listed.publications[-1].publisher == "petrova"


class TestLog:
    """What is logged of refused calls."""

    def test_names_caller_method_and_reason_and_no_customer(
        self, guarded: Guarded, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither of the request nor of the token."""
        with caplog.at_level(logging.WARNING):
            guarded.ended_with(
                guarded.token("writer", subject="crm"),
                "DecisionService",
                "MayContact",
                customer_id="secret-person",
            )
            guarded.ended_with(
                guarded.issuer.token(["customer:secret-id"], "secret-name"),
                "ConsentService",
                "GetConsentCard",
                customer_id="secret-person",
            )
            guarded.ended_with("not.a.token", "DecisionService", "MayContact")
        refused = [text for text in caplog.messages if text.startswith("refused")]
        unread = "the token does not hold: it can not be read"
        assert refused == [
            f"refused /maywe.v1.{call} to {caller}: {reason}"
            for call, caller, reason in (
                ("DecisionService/MayContact", "crm", "no role of the caller allows this call"),
                (
                    "ConsentService/GetConsentCard",
                    "customer",
                    "a customer may see and revoke their own alone",
                ),
                ("DecisionService/MayContact", "somebody unidentified", unread),
            )
        ]
        assert "secret" not in caplog.text
