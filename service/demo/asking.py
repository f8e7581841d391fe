"""The demonstration's questions: as a dialer, a campaign engine and a partner would ask.

What lives here: whom they ask about and which answers are right.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1.common_pb2 import ContactQuestion, Reason, Verdict
from maywe.v1.decision_pb2 import (
    AudienceChunk,
    AudienceQuestion,
    FilterAudienceRequest,
    ListAllowedRequest,
    MayContactRequest,
    MayContactResponse,
    MayShareRequest,
)

from decision.instants import from_datetime
from service.cli.output import Cell, number
from service.cli.words import basis_text, reason_code, verdict_text
from service.client import Client, answers_from
from service.conversion.timestamps import timestamp
from service.demo import cast
from service.demo.narration import Narrator, expect, expect_that

AUDIENCE_CHUNK_IDS: Final = 5_000
CAMPAIGN_BEGINS_IN: Final = timedelta(hours=1)

ADVERTISING: Final = "advertising"
SERVICE: Final = "service"
SMS: Final = "sms"
PHONE: Final = "phone"
INSURER: Final = "example_insurance"
SUSPENDED_PARTNER: Final = "example_loyalty"
UNKNOWN_CUSTOMER: Final = "no-such-customer"

CAST: Final = (
    cast.SMS_REVOKED,
    cast.LOAN_REPAID,
    cast.CAME_THROUGH_TELECOM,
    cast.REFUSED_ADVERTISING,
    cast.ADVERTISING_EXPIRED,
    cast.PREMIUM,
    cast.CARD_AFTER_CORRECTION,
    cast.COMPLAINED,
    cast.TWO_CARDS,
    cast.UNMATCHED,
    cast.SIGNED_IN_QUESTIONNAIRE,
)
"""Each person of the cast once, under the id that they answer to."""


class ContactCase(NamedTuple):
    """A customer the dialer asks about, and the right answer."""

    customer_id: str
    channel: str
    purpose: str
    reason: Reason
    story: str


class ShareCase(NamedTuple):
    """What a partner asks for, and the right answer."""

    customer_id: str
    partner: str
    datasets: tuple[str, ...]
    reason: Reason
    allowed_datasets: tuple[str, ...]


CONTACT_CASES: Final = (
    ContactCase(cast.SMS_REVOKED, PHONE, ADVERTISING, Reason.REASON_ALLOWED, "loan 14 months ago"),
    ContactCase(
        cast.SMS_REVOKED,
        SMS,
        ADVERTISING,
        Reason.REASON_CONSENT_REVOKED,
        "the same, revoked SMS a month ago",
    ),
    ContactCase(
        cast.LOAN_REPAID, PHONE, SERVICE, Reason.REASON_PRODUCT_CLOSED, "loan repaid a year ago"
    ),
    ContactCase(
        cast.CAME_THROUGH_TELECOM,
        PHONE,
        ADVERTISING,
        Reason.REASON_RESTRICTED,
        "came through a partner",
    ),
    ContactCase(
        cast.REFUSED_ADVERTISING,
        PHONE,
        ADVERTISING,
        Reason.REASON_CONSENT_REFUSED,
        "refused in a questionnaire",
    ),
    ContactCase(
        cast.ADVERTISING_EXPIRED, PHONE, ADVERTISING, Reason.REASON_CONSENT_EXPIRED, "loan of 2018"
    ),
    ContactCase(
        cast.COMPLAINED, SMS, ADVERTISING, Reason.REASON_RESTRICTED, "complained three months ago"
    ),
    ContactCase(
        cast.TWO_CARDS,
        SMS,
        ADVERTISING,
        Reason.REASON_ALLOWED,
        "bought under another card, merged since",
    ),
    ContactCase(
        cast.UNMATCHED, SMS, ADVERTISING, Reason.REASON_NO_CONSENT, "product not in the matrix"
    ),
    ContactCase(
        cast.SIGNED_IN_QUESTIONNAIRE,
        SMS,
        ADVERTISING,
        Reason.REASON_ALLOWED,
        "consented without buying",
    ),
    ContactCase(
        UNKNOWN_CUSTOMER, SMS, ADVERTISING, Reason.REASON_UNKNOWN_CUSTOMER, "a misspelt id"
    ),
)

SHARE_CASES: Final = (
    ShareCase(
        cast.PREMIUM,
        INSURER,
        ("contacts", "products"),
        Reason.REASON_ALLOWED,
        ("contacts", "products"),
    ),
    ShareCase(
        cast.PREMIUM, INSURER, ("contacts", "income"), Reason.REASON_NO_CONSENT, ("contacts",)
    ),
    ShareCase(cast.PREMIUM, SUSPENDED_PARTNER, ("contacts",), Reason.REASON_PARTNER_SUSPENDED, ()),
    ShareCase(cast.REFUSED_ADVERTISING, INSURER, ("contacts",), Reason.REASON_NO_CONSENT, ()),
)


def ask_as_dialer(narrator: Narrator, client: Client) -> None:
    """Ask right before each call, as a dialer does."""
    narrator.chapter("A dialer asks before each call")
    rows: list[Sequence[Cell]] = []
    allowed: list[tuple[str, Cell]] = []
    for case in CONTACT_CASES:
        request = MayContactRequest(
            customer_id=case.customer_id, channel=case.channel, purpose=case.purpose
        )
        with answers_from(client.decision_address):
            response = client.decision.MayContact(request)
        _check_contact(case, response)
        rows.append(
            (
                case.customer_id,
                f"{case.channel}, {case.purpose}",
                verdict_text(response.verdict),
                reason_code(response.reason),
                case.story,
            )
        )
        if response.HasField("basis"):
            channels = ", ".join(response.allowed_channels)
            allowed.append((case.customer_id, f"{basis_text(response.basis)}; by {channels}"))
    narrator.output.table(("customer", "asked", "answer", "reason", "story"), rows)
    narrator.say()
    narrator.say("what each ALLOW rests on, and every channel that may be used")
    narrator.output.fields(allowed)


def _check_contact(case: ContactCase, response: MayContactResponse) -> None:
    expect(
        f"reason for {case.customer_id} by {case.channel}",
        reason_code(response.reason),
        reason_code(case.reason),
    )
    is_allowed = case.reason == Reason.REASON_ALLOWED
    expect_that(
        f"{case.customer_id} has a basis exactly when allowed",
        holds=response.HasField("basis") is is_allowed
        and (response.verdict == Verdict.VERDICT_ALLOW) is is_allowed
        and (case.channel in response.allowed_channels) is is_allowed,
    )


def ask_as_campaign_engine(narrator: Narrator, client: Client, customer_ids: list[str]) -> None:
    """Filter an audience of everybody, and list everybody who is allowed: both must agree."""
    narrator.chapter("A campaign engine filters its audience")
    question = ContactQuestion(channel=SMS, purpose=ADVERTISING)
    # One instant for both ways of asking, lest a term ends between them.
    at = timestamp(from_datetime(datetime.now(UTC) + CAMPAIGN_BEGINS_IN))
    began = time.perf_counter()
    allowed: list[str] = []
    counts: Counter[tuple[Verdict, Reason]] = Counter()
    ended_count: int | None = None
    chunks = [
        customer_ids[start : start + AUDIENCE_CHUNK_IDS]
        for start in range(0, len(customer_ids), AUDIENCE_CHUNK_IDS)
    ]
    unanswered = iter(chunks)
    with answers_from(client.decision_address):
        for response in client.decision.FilterAudience(_audience(question, at, chunks)):
            if response.HasField("end"):
                ended_count = response.end.customer_count
                told = {
                    (entry.verdict, entry.reason): entry.customer_count
                    for entry in response.end.counts
                }
                expect("counts at the end of the audience", told, dict(counts))
                continue
            verdicts = response.verdicts
            for customer_id, verdict, reason in zip(
                next(unanswered), verdicts.verdicts, verdicts.reasons, strict=True
            ):
                counts[verdict, reason] += 1
                if verdict == Verdict.VERDICT_ALLOW:
                    allowed.append(customer_id)
    seconds = time.perf_counter() - began
    expect("customers answered", ended_count, len(customer_ids))
    narrator.say(
        f"{number(len(customer_ids))} customers, {SMS} for {ADVERTISING} in an hour: "
        f"{number(len(allowed))} allowed, {number(int(len(customer_ids) / seconds))} a second"
    )
    narrator.output.table(
        ("answer", "reason", "customers"),
        [
            (verdict_text(verdict), reason_code(reason), number(count))
            for (verdict, reason), count in sorted(counts.items())
        ],
    )
    listed = _listed(client, question, at)
    expect_that(
        "the list of everybody allowed is the audience's", holds=sorted(listed) == sorted(allowed)
    )
    narrator.say(
        f"asked the other way round, whom may we reach by {SMS}: the same {number(len(listed))}"
    )


def ask_as_partner(narrator: Narrator, client: Client) -> None:
    """Ask which data sets may be given to a partner."""
    narrator.chapter("Partners ask for data")
    rows: list[Sequence[Cell]] = []
    for case in SHARE_CASES:
        request = MayShareRequest(
            customer_id=case.customer_id,
            partner=case.partner,
            datasets=case.datasets,
            purpose=ADVERTISING,
        )
        with answers_from(client.decision_address):
            response = client.decision.MayShare(request)
        what = f"{', '.join(case.datasets)} of {case.customer_id} to {case.partner}"
        expect(f"reason for {what}", reason_code(response.reason), reason_code(case.reason))
        expect(
            f"allowed data sets for {what}",
            tuple(response.allowed_datasets),
            case.allowed_datasets,
        )
        rows.append(
            (
                case.customer_id,
                case.partner,
                ", ".join(case.datasets),
                verdict_text(response.verdict),
                reason_code(response.reason),
                ", ".join(response.allowed_datasets),
                "; ".join(
                    f"{answer.dataset}: {answer.basis.consent_type}/{answer.basis.wording_version}"
                    for answer in response.datasets
                    if answer.HasField("basis")
                ),
            )
        )
    narrator.output.table(
        ("customer", "partner", "asked for", "answer", "reason", "may have", "basis"), rows
    )


def _audience(
    question: ContactQuestion, at: Timestamp, chunks: list[list[str]]
) -> Iterator[FilterAudienceRequest]:
    yield FilterAudienceRequest(question=AudienceQuestion(contact=question, at=at))
    for chunk in chunks:
        yield FilterAudienceRequest(chunk=AudienceChunk(customer_ids=chunk))


def _listed(client: Client, question: ContactQuestion, at: Timestamp) -> list[str]:
    customer_ids: list[str] = []
    ended_count: int | None = None
    with answers_from(client.decision_address):
        for response in client.decision.ListAllowed(ListAllowedRequest(contact=question, at=at)):
            if response.HasField("end"):
                ended_count = response.end.customer_count
            else:
                customer_ids += response.chunk.customer_ids
    expect("ids at the end of the list", ended_count, len(customer_ids))
    return customer_ids
