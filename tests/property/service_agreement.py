"""Comparing a whole system behind gRPC with the naive model, answer by answer.

What lives here: for every way of asking the comparison with the model. What must not: the choice of
steps and questions, and the meaning of anything.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, consent_pb2, decision_pb2, evidence_pb2

from store.clocks import wall_clock
from tests.cases.answers import differs, shown
from tests.cases.messages import check_request, explain_request, timestamp
from tests.cases.remote import RemoteSystem, StepRefusedError
from tests.model.document import entries
from tests.model.instants import format_instant
from tests.model.naive import LATEST, NaiveSystem, Refused
from tests.model.random_probes import CHECK_FROM
from tests.model.scopes import Scope, scopes_of
from tests.model.world import World
from tests.property.comparison import unmatched_without_refusals
from tests.running import RunningMaywe

Probe = Mapping[str, Any]

NOTHING_KNOWN: Final = -1
"""Known time before the first step."""

CHUNK_SIZE: Final = 2
LISTED_PER_CHUNK: Final = 2
STRANGERS: Final = ("newcomer", "nobody")


class ServiceAgreement:
    """A system and a model to which the same steps are applied; asserts that they agree."""

    def __init__(self, maywe: RunningMaywe) -> None:
        """Begin with a system in which nothing is recorded."""
        self._remote = RemoteSystem(maywe)
        self._client = maywe.client
        self._naive = NaiveSystem()
        self._began_at = wall_clock()

    def apply(self, step: Probe) -> None:
        """Apply a step to both: recorded, repeated or refused with the same status."""
        assert self._outcome_of_remote(step) == self._outcome_of_model(step)

    def agree_on_check(self, probe: Probe) -> None:
        """A single check is answered as the model answers, with everything that comes beside."""
        expected = self._refusal_by_model(probe)
        if expected is not None:
            assert self._refusal_of_remote(probe) == expected
        else:
            self._agree_on_checked(probe, self._remote.check(probe))

    def agree_on_batch(self, probes: Iterable[Probe]) -> None:
        """Every item of a batch has the answer, or the error, of the call by itself."""
        asked = list(probes)
        request = decision_pb2.BatchCheckRequest()
        for probe in asked:
            item = check_request(probe, self._remote.token_of(probe["customer"]))
            if isinstance(item, decision_pb2.MayContactRequest):
                request.checks.add(contact=item)
            else:
                request.checks.add(share=item)
        results = self._client.decision.BatchCheck(request).results
        for probe, result in zip(asked, results, strict=True):
            refusal = self._refusal_by_model(probe)
            which = result.WhichOneof("result")
            assert (which == "error") == (refusal is not None), (probe, result)
            if which != "error":
                self._agree_on_checked(probe, getattr(result, which))

    def agree_on_audience(self, probe: Probe) -> None:
        """Everybody in an audience has verdict and reason as in a check of their own."""
        if self._refusal_by_model(probe) is not None:
            return
        probe = _at_a_fixed_instant(probe)
        by_token: dict[str, list[str]] = {}
        for customer in self._customers():
            by_token.setdefault(self._remote.token_of(customer), []).append(customer)
        for token, customers in by_token.items():
            self._agree_on_stream(probe, token, customers)

    def agree_on_list(self, probe: Probe) -> None:
        """The list of those allowed has each allowed person once, under the id that stands."""
        if self._refusal_by_model(probe) is not None:
            return
        probe = _at_a_fixed_instant(probe)
        request = decision_pb2.ListAllowedRequest(
            at=timestamp(probe["at"]), chunk_size=LISTED_PER_CHUNK
        )
        _ask(request, probe)
        messages = list(self._client.decision.ListAllowed(request))
        listed = [one for part in messages for one in part.chunk.customer_ids]
        assert [message.WhichOneof("part") for message in messages[-1:]] == ["end"]
        assert messages[-1].end.customer_count == len(listed)
        allowed = {
            self._remote.standing_id(customer)
            for customer in self._customers()
            if self._expected({**probe, "customer": customer})["verdict"] == "ALLOW"
        }
        assert sorted(listed) == sorted(allowed)

    def agree_on_explain(self, probe: Probe) -> None:
        """An explanation answers as known then, as known now and as was known at the time."""
        expected = self._refusal_by_model(probe)
        if expected is not None:
            assert self._refusal_of_remote(probe) == expected
            return
        explained = self._remote.explain(probe)
        self._agree_on_answer(probe, explained.answer)
        now = explained.answer_known_now if explained.HasField("answer_known_now") else None
        self._agree_on_answer({**probe, "known_after_step": None}, now or explained.answer)
        if explained.valid_at.ToMicroseconds() < self._began_at:
            then = explained.answer_known_then if explained.HasField("answer_known_then") else None
            self._agree_on_answer(
                {**probe, "known_after_step": NOTHING_KNOWN}, then or explained.answer
            )
        known = _known_step(probe)
        assert list(explained.customer_ids) == sorted(self._naive.ids_of(probe["customer"], known))
        self._agree_on_grants(probe, explained)

    def agree_on_card(self, probe: Probe) -> None:
        """The card allows the scopes that the model allows, each with its end and basis."""
        request = consent_pb2.GetConsentCardRequest(
            customer_id=probe["customer"],
            valid_at=timestamp(probe["valid_at"]),
            known_at=self._remote.known_at(probe.get("known_after_step")),
        )
        card = self._client.consent.GetConsentCard(request)
        world = self._naive.world(probe["customer"], _known_step(probe))
        at = card.valid_at.ToMicroseconds()
        allowed = {
            scope: verdict
            for scope in _scopes_granted(world)
            if (verdict := world.answer(scope, at)).allowed
        }
        told = {_scope(answer.scope): answer for answer in card.allowed_scopes}
        assert len(told) == len(card.allowed_scopes)
        assert set(told) == set(allowed)
        for scope, answer in told.items():
            basis = allowed[scope].basis
            assert basis is not None
            assert (answer.basis.event_id, answer.basis.consent_type) == (
                basis.event_id,
                basis.consent_type,
            )
            assert _instant(answer, "not_after") == _finite(allowed[scope].not_after)
            assert _instant(answer.basis, "ends_at") == _finite(allowed[scope].basis_ends)
        types = {grant.consent_type for grant in world.grants()}
        assert [summary.consent_type for summary in card.consents] == sorted(types)

    def agree_on_unmatched(self, customer: str) -> None:
        """The list of unmatched purchases has the events that wait for a publication."""
        request = consent_pb2.ListUnmatchedPurchasesRequest(customer_id=customer)
        listed = self._client.consent.ListUnmatchedPurchases(request).unmatched_purchases
        found = [getattr(one.event, one.event.WhichOneof("event")).event_id for one in listed]
        assert sorted(found) == sorted(unmatched_without_refusals(self._naive.world(customer)))

    def _outcome_of_remote(self, step: Probe) -> object:
        try:
            return self._remote.apply(step)
        except StepRefusedError as refusal:
            return refusal.status

    def _outcome_of_model(self, step: Probe) -> object:
        try:
            return self._naive.apply(dict(step))
        except Refused as refusal:
            return refusal.status

    def _refusal_by_model(self, probe: Probe) -> str | None:
        try:
            self._naive.ask(dict(probe), self._began_at)
        except Refused as refusal:
            return refusal.status
        return None

    def _refusal_of_remote(self, probe: Probe) -> str | None:
        try:
            self._remote.ask(probe)
        except StepRefusedError as refusal:
            return refusal.status
        return None

    def _expected(self, probe: Probe, now: int | None = None) -> dict[str, Any]:
        return self._naive.ask(dict(probe), self._began_at if now is None else now)

    def _agree_on_answer(self, probe: Probe, answer: evidence_pb2.Answer) -> None:
        got = shown(answer, asks_for_several=probe.get("datasets") is not None)
        expected = self._expected(probe)
        assert not differs(got, expected), (probe, got, expected)

    def _agree_on_checked(
        self,
        probe: Probe,
        response: decision_pb2.MayContactResponse | decision_pb2.MayShareResponse,
    ) -> None:
        decided_at = response.decided_at.ToMicroseconds()
        got = shown(response, asks_for_several=probe.get("datasets") is not None)
        expected = self._expected(probe, decided_at)
        assert not differs(got, expected), (probe, got, expected)
        assert (response.state_version == 0) == (expected["reason"] == "UNKNOWN_CUSTOMER")
        assert response.catalog_publication == len(self._naive.publications)
        world = self._naive.world(probe["customer"])
        if isinstance(response, decision_pb2.MayContactResponse):
            assert list(response.allowed_channels) == self._allowed_channels(
                probe, world, decided_at
            )
        else:
            self._agree_on_datasets(probe, world, decided_at, response)

    def _allowed_channels(self, probe: Probe, world: World, at: int) -> list[str]:
        """The channels allowed, in the catalog's order, without retired ones unless asked about."""
        document = self._naive.publications[-1][1]
        return [
            channel["code"]
            for channel in entries(document, "channels")
            if not channel.get("retired") or channel["code"] == probe["channel"]
            if world.answer(Scope("contact", probe["purpose"], channel["code"]), at).allowed
        ]

    def _agree_on_datasets(
        self, probe: Probe, world: World, at: int, response: decision_pb2.MayShareResponse
    ) -> None:
        for answer in response.datasets:
            scope = Scope("share", probe["purpose"], "", probe["partner"], answer.dataset)
            verdict = world.answer(scope, at)
            assert common_pb2.Reason.Name(answer.reason) == f"REASON_{verdict.reason}"
            if verdict.allowed:
                assert _instant(answer, "not_after") == _finite(verdict.not_after)
                assert _instant(answer.basis, "ends_at") == _finite(verdict.basis_ends)
        allowed = [
            answer.dataset
            for answer in response.datasets
            if answer.verdict == common_pb2.VERDICT_ALLOW
        ]
        assert list(response.allowed_datasets) == allowed

    def _agree_on_stream(self, probe: Probe, token: str, customers: list[str]) -> None:
        question = decision_pb2.AudienceQuestion(at=timestamp(probe["at"]), token=token)
        _ask(question, probe)
        chunks = [customers[n : n + CHUNK_SIZE] for n in range(0, len(customers), CHUNK_SIZE)]
        requests = [
            decision_pb2.FilterAudienceRequest(question=question),
            *(
                decision_pb2.FilterAudienceRequest(
                    chunk=decision_pb2.AudienceChunk(customer_ids=chunk)
                )
                for chunk in chunks
            ),
        ]
        *answered, last = self._client.decision.FilterAudience(iter(requests))
        told = [
            (common_pb2.Verdict.Name(verdict), common_pb2.Reason.Name(reason))
            for part in answered
            for verdict, reason in zip(part.verdicts.verdicts, part.verdicts.reasons, strict=True)
        ]
        expected = [self._expected({**probe, "customer": customer}) for customer in customers]
        assert told == [
            (f"VERDICT_{one['verdict']}", f"REASON_{one['reason']}") for one in expected
        ]
        assert [len(part.verdicts.verdicts) for part in answered] == [len(part) for part in chunks]
        assert last.end.customer_count == len(customers)
        assert sum(count.customer_count for count in last.end.counts) == len(customers)

    def _agree_on_grants(self, probe: Probe, explained: decision_pb2.ExplainResponse) -> None:
        """Every grant that covers an asked scope is shown, with its end and what ends it."""
        world = self._naive.world(probe["customer"], _known_step(probe))
        asked = set(_asked_scopes(probe))
        expected = {
            (grant.event_id, grant.consent_type, scope)
            for grant in world.grants()
            for scope in grant.scopes & asked
        }
        told = {
            (grant.event_id, grant.consent_type, _scope(granted.scope))
            for grant in explained.grants
            for granted in grant.scopes
        }
        assert told == expected

    def _customers(self) -> list[str]:
        named = {
            one
            for event in self._naive.events
            for field in ("customer", "from", "into")
            if isinstance(one := event.content.get(field), str)
        }
        return sorted(named | set(STRANGERS))


def _ask(
    request: decision_pb2.ListAllowedRequest | decision_pb2.AudienceQuestion, probe: Probe
) -> None:
    """Put the probe's question into a request that asks it of many."""
    asked = explain_request({**probe, "valid_at": None}, None)
    if probe["ask"] == "contact":
        request.contact.CopyFrom(asked.contact)
    else:
        request.share.CopyFrom(asked.share)


def _at_a_fixed_instant(probe: Probe) -> Probe:
    """The question at an instant for which every chunk is decided alike."""
    return probe if probe.get("at") is not None else {**probe, "at": format_instant(CHECK_FROM)}


def _asked_scopes(probe: Probe) -> list[Scope]:
    if probe["ask"] == "process":
        return [Scope("process", probe["purpose"])]
    if probe["ask"] == "contact":
        return [Scope("contact", probe["purpose"], channel=probe["channel"])]
    datasets = probe["datasets"] if probe.get("datasets") is not None else [probe["dataset"]]
    return [
        Scope("share", probe["purpose"], partner=probe["partner"], dataset=dataset)
        for dataset in datasets
    ]


def _scopes_granted(world: World) -> set[Scope]:
    return {scope for grant in world.grants() for scope in scopes_of(grant.wording["grants"])}


def _known_step(probe: Probe) -> int:
    known = probe.get("known_after_step")
    return LATEST if known is None else int(known)


def _scope(message: common_pb2.Scope) -> Scope:
    kind = common_pb2.ScopeKind.Name(message.kind).removeprefix("SCOPE_KIND_").lower()
    return Scope(kind, message.purpose, message.channel, message.partner, message.dataset)


def _instant(message: Any, field: str) -> str | None:
    found: Timestamp = getattr(message, field)
    return format_instant(found.ToMicroseconds()) if message.HasField(field) else None


def _finite(instant: int) -> str | None:
    """An instant as text, None for one later than the calendar."""
    return format_instant(instant) if instant < _AFTER_THE_CALENDAR else None


_AFTER_THE_CALENDAR: Final = 2**63 - 1
