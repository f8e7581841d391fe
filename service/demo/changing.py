"""The demonstration's second half: a revocation, a late correction, and the regulator's question.

What lives here: what changes, who is affected, and how the past is proved afterwards.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import yaml
from maywe.v1.catalog_pb2 import (
    PreviewPublicationRequest,
    PreviewPublicationResponse,
    PublishRequest,
)
from maywe.v1.common_pb2 import ContactQuestion, Selector, Source, UnmatchedCause
from maywe.v1.consent_pb2 import ListUnmatchedPurchasesRequest, UnmatchedPurchase
from maywe.v1.decision_pb2 import (
    ExplainRequest,
    ExplainResponse,
    MayContactRequest,
    MayContactResponse,
)
from maywe.v1.event_pb2 import RevokeRequest

from decision.instants import Instant, from_datetime
from service.cli.catalog_view import show_preview
from service.cli.catalog_wait import wait_until_effective
from service.cli.explain_view import show_explanation
from service.cli.moments import shown_moment
from service.cli.output import number
from service.cli.words import (
    basis_text,
    durability_text,
    product_text,
    reason_code,
    reason_text,
    scope_text,
    verdict_text,
)
from service.client import Client, answers_from
from service.conversion.timestamps import timestamp
from service.demo import cast
from service.demo.asking import ADVERTISING, PHONE, SMS
from service.demo.catalog_correction import corrected_catalog
from service.demo.loading import PUBLICATION_SECONDS_MAX
from service.demo.narration import Narrator, expect, expect_that

TWO_MONTHS: Final = timedelta(days=61)
"""Before now; the cast's revocation is a month ago."""

UNMATCHED_PER_PAGE: Final = 1_000
UNMATCHED_SHOWN_MAX: Final = 4
PREVIEW_SAMPLES: Final = 4


def revoke_one(narrator: Narrator, client: Client) -> None:
    """Revoke one channel of one consent; the next answer already follows."""
    narrator.chapter("A customer revokes advertising by phone")
    customer_id = cast.SIGNED_IN_QUESTIONNAIRE
    before = _may_contact(client, customer_id, PHONE)
    expect(f"reason for {customer_id}", reason_code(before.reason), "ALLOWED")
    request = RevokeRequest(
        event_id="demo-revocation",
        customer_id=customer_id,
        revoked_at=timestamp(from_datetime(datetime.now(UTC))),
        selector=Selector(purpose=ADVERTISING, channel=PHONE),
        source=Source(process="personal account", channel="mobile app"),
    )
    with answers_from(client.writer_address):
        response = client.writer.Revoke(request)
    after = _may_contact(client, customer_id, PHONE, response.acknowledgement.token)
    expect(f"reason for {customer_id} afterwards", reason_code(after.reason), "CONSENT_REVOKED")
    expect(
        "scopes ended",
        [scope_text(ended.scope) for ended in response.ended],
        [f"contact by {PHONE} for {ADVERTISING}"],
    )
    expect_that("SMS survives the revocation", holds=SMS in after.allowed_channels)
    narrator.output.table(
        ("", "answer", "reason", "channels to use"),
        [
            (
                when,
                verdict_text(answer.verdict),
                reason_code(answer.reason),
                ", ".join(answer.allowed_channels),
            )
            for when, answer in (("before", before), ("after", after))
        ],
    )
    narrator.say(f"the writer answered: {durability_text(response.acknowledgement)}")
    narrator.say(f"ended: {'; '.join(scope_text(ended.scope) for ended in response.ended)}")
    surviving = "; ".join(scope_text(answer.scope) for answer in response.surviving)
    narrator.say(f"still allowed: {surviving}")


def correct_the_matrix(narrator: Narrator, client: Client, document: str, now: Instant) -> None:
    """Preview a correction that reaches back a month, publish it, and see who changed."""
    narrator.chapter("The matrix is corrected a month late")
    customer_id = cast.CARD_AFTER_CORRECTION
    before = _may_contact(client, customer_id, SMS)
    expect(f"reason for {customer_id}", reason_code(before.reason), "ALLOWED")
    catalog: dict[str, Any] = yaml.load(document, Loader=yaml.CSafeLoader)
    corrected = yaml.safe_dump(corrected_catalog(catalog, now), allow_unicode=True)
    with answers_from(client.writer_address):
        preview = client.catalog.PreviewPublication(
            PreviewPublicationRequest(document=corrected, sample_size=PREVIEW_SAMPLES)
        )
    narrator.say("preview: since the first of last month credit cards ask for sharing with")
    narrator.say("partners and no longer for advertising")
    show_preview(narrator.output, preview)
    _check_preview(preview)
    with answers_from(client.writer_address):
        response = client.catalog.Publish(
            PublishRequest(
                publication_id="demo-correction",
                document=corrected,
                publisher="demonstration",
                comment="credit cards, a month late",
                expected_number=preview.base_number,
            )
        )
    rollout = wait_until_effective(client, response.number, PUBLICATION_SECONDS_MAX)
    expect("customers changed", rollout.customers_changed_count, preview.changed_count)
    narrator.say()
    narrator.say(
        f"publication {response.number} is effective everywhere: "
        f"{number(rollout.customers_done_count)} customers looked at, "
        f"{number(rollout.customers_changed_count)} changed, as the preview said"
    )
    after = _may_contact(client, customer_id, SMS)
    expect(f"reason for {customer_id} afterwards", reason_code(after.reason), "NO_CONSENT")
    known_then = _explain(
        client,
        ExplainRequest(
            customer_id=customer_id,
            contact=ContactQuestion(channel=SMS, purpose=ADVERTISING),
            valid_at=before.decided_at,
            known_at=before.decided_at,
        ),
    )
    expect(
        f"reason for {customer_id} as known before",
        reason_code(known_then.answer.reason),
        "ALLOWED",
    )
    narrator.say(f"customer {customer_id}, card bought since then, {SMS} for {ADVERTISING}:")
    narrator.output.fields(
        [
            ("  before", reason_text(before.reason)),
            ("  now", reason_text(after.reason)),
            ("  as known before", f"{reason_text(known_then.answer.reason)} (still provable)"),
        ]
    )


def answer_the_regulator(narrator: Narrator, client: Client) -> None:
    """Prove why an SMS was allowed two months ago, although it is denied now."""
    narrator.chapter("Why was this SMS allowed two months ago?")
    then = timestamp(from_datetime(datetime.now(UTC) - TWO_MONTHS))
    response = _explain(
        client,
        ExplainRequest(
            customer_id=cast.SMS_REVOKED,
            contact=ContactQuestion(channel=SMS, purpose=ADVERTISING),
            valid_at=then,
        ),
    )
    expect("answer two months ago", reason_code(response.answer.reason), "ALLOWED")
    basis = response.answer.basis
    texts = [
        text.text
        for wording in response.wordings
        if (wording.consent_type, wording.version) == (basis.consent_type, basis.wording_version)
        for text in wording.texts
    ]
    expect_that("the signed wording is there word by word", holds=any("СМС" in t for t in texts))
    expect_that(
        "the revocation of a month ago is among the events",
        holds=any(
            event.event.revocation.event_id == cast.SMS_REVOCATION_EVENT_ID
            for event in response.events
        ),
    )
    narrator.say(
        "(the history was recorded today, so what the system itself would have said then differs)"
    )
    show_explanation(narrator.output, response)
    today = _may_contact(client, cast.SMS_REVOKED, SMS)
    expect("answer today", reason_code(today.reason), "CONSENT_REVOKED")
    narrator.say()
    narrator.say(
        f"allowed then by {basis_text(basis, response.zone)}; today: {reason_text(today.reason)}"
    )


def show_unmatched(narrator: Narrator, client: Client) -> None:
    """Show the purchases that the matrix does not know."""
    narrator.chapter("Purchases that gave no consent wait for the catalog")
    found: list[UnmatchedPurchase] = []
    token = ""
    while True:
        request = ListUnmatchedPurchasesRequest(page_size=UNMATCHED_PER_PAGE, page_token=token)
        with answers_from(client.writer_address):
            page = client.consent.ListUnmatchedPurchases(request)
        found += page.unmatched_purchases
        token = page.next_page_token
        if not token:
            break
    groups: dict[tuple[str, str], int] = {}
    for entry in found:
        what = entry.event.purchase.product.product_type or "consent"
        cause = UnmatchedCause.Name(entry.cause).removeprefix("UNMATCHED_CAUSE_")
        groups[what, cause] = groups.get((what, cause), 0) + 1
    narrator.output.table(
        ("product type", "cause", "purchases"),
        [(what, cause, number(count)) for (what, cause), count in sorted(groups.items())],
    )
    narrator.say("such as")
    narrator.output.table(
        ("customer", "product", "purchased"),
        [
            (
                entry.event.purchase.customer_id,
                product_text(entry.event.purchase.product),
                shown_moment(entry.event.purchase.purchased_at),
            )
            for entry in found[:UNMATCHED_SHOWN_MAX]
        ],
    )
    expect_that(
        f"the safe box of {cast.UNMATCHED} is among them",
        holds=any(entry.event.purchase.customer_id == cast.UNMATCHED for entry in found),
    )


def _check_preview(preview: PreviewPublicationResponse) -> None:
    effects = {scope_text(effect.scope): effect for effect in preview.scopes}
    advertising = effects.get(f"contact by {SMS} for {ADVERTISING}")
    expect_that(
        "some customers lose advertising by SMS",
        holds=advertising is not None and advertising.losing_count > 0,
    )
    expect_that("some customers gain sharing", holds=any(e.gaining_count for e in preview.partners))
    expect_that("samples show who", holds=len(preview.samples) > 0)


def _may_contact(
    client: Client, customer_id: str, channel: str, token: str = ""
) -> MayContactResponse:
    request = MayContactRequest(
        customer_id=customer_id, channel=channel, purpose=ADVERTISING, token=token
    )
    with answers_from(client.decision_address):
        return client.decision.MayContact(request)


def _explain(client: Client, request: ExplainRequest) -> ExplainResponse:
    with answers_from(client.decision_address):
        return client.decision.Explain(request)
