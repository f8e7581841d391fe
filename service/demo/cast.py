"""Customers with a story of their own, so that a demonstration knows whom to ask about.

What lives here: their ids, contracts and consents. Everybody else is drawn at random.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from service.demo.contracts import PRODUCT_KINDS, Contract

EXPIRED_ADVERTISING_BOUGHT_AT: Final = datetime(2018, 3, 15, 12, 0)  # noqa: DTZ001 - local time
"""Under the advertising wording of that time, which was for five years."""

SMS_REVOKED: Final = "20000001"
"""A loan 14 months ago; advertising by SMS revoked a month ago: two months ago it was allowed."""

LOAN_REPAID: Final = "20000002"
"""A loan three years ago, repaid a year ago: servicing has ended, advertising has not."""

CAME_THROUGH_TELECOM: Final = "20000003"
"""Came through the telecom partner half a year ago, then bought a debit card."""

REFUSED_ADVERTISING: Final = "20000004"
"""A deposit, and a questionnaire that refuses advertising."""

ADVERTISING_EXPIRED: Final = "20000005"
"""A loan in 2018; the consent to advertising has run out."""

PREMIUM: Final = "20000006"
"""A premium card eight months ago: data may go to partners, but for the suspended one."""

CARD_AFTER_CORRECTION: Final = "20000007"
"""A credit card since the day from which the late correction of the matrix counts."""

COMPLAINED: Final = "20000008"
"""A loan, then a complaint three months ago: no advertising at all for a year."""

TWO_CARDS: Final = "20000009"
"""One person with two customer cards, merged since."""

TWO_CARDS_DUPLICATE: Final = "20000009-2"
"""The other card of the same person, to which the purchase belongs."""

UNMATCHED: Final = "20000010"
"""Nothing but a safe box, which no row of the matrix matches."""

SIGNED_IN_QUESTIONNAIRE: Final = "20000011"
"""Gave consent to advertising in a questionnaire two months ago, without buying anything."""

SMS_REVOCATION_EVENT_ID: Final = "CAST-1"
TELECOM_EVENT_ID: Final = "CAST-2"
REFUSAL_EVENT_ID: Final = "CAST-3"
COMPLAINT_EVENT_ID: Final = "CAST-4"
MERGE_EVENT_ID: Final = "CAST-5"
QUESTIONNAIRE_EVENT_ID: Final = "CAST-6"


def cast_contracts(now_local: datetime, correction_from: datetime) -> list[Contract]:
    """Give the contracts of the cast. Times are local; the correction's is its first instant."""

    def days_ago(days: int) -> datetime:
        return now_local.replace(microsecond=0) - timedelta(days=days)

    def contract(
        customer_id: str,
        kind: str,
        bought_at: datetime,
        closed_at: datetime | None = None,
        series: str = "",
    ) -> Contract:
        product = PRODUCT_KINDS[kind]
        return Contract(
            customer_id, product, series or product.series[0], customer_id[:8], bought_at, closed_at
        )

    return [
        contract(SMS_REVOKED, "consumer_loan", days_ago(425)),
        contract(LOAN_REPAID, "consumer_loan", days_ago(1095), days_ago(365)),
        contract(CAME_THROUGH_TELECOM, "debit_card", days_ago(180)),
        contract(REFUSED_ADVERTISING, "deposit", days_ago(300)),
        contract(ADVERTISING_EXPIRED, "consumer_loan", EXPIRED_ADVERTISING_BOUGHT_AT),
        contract(PREMIUM, "debit_card", days_ago(240), series="ПР01"),
        contract(CARD_AFTER_CORRECTION, "credit_card", correction_from + timedelta(days=9)),
        contract(COMPLAINED, "consumer_loan", days_ago(500)),
        contract(TWO_CARDS_DUPLICATE, "debit_card", days_ago(400)),
        contract(UNMATCHED, "safe_box", days_ago(200)),
    ]


def cast_records(now: datetime) -> list[tuple[datetime, dict[str, Any]]]:
    """Give the consents file's records of the cast, each with its time. `now` has a zone."""

    def record(
        days: int, event_id: str, event: str, customer_id: str, **more: object
    ) -> tuple[datetime, dict[str, Any]]:
        at = now.replace(microsecond=0) - timedelta(days=days)
        return at, {
            "id": event_id,
            "event": event,
            "client": customer_id,
            "at": at.isoformat(),
            **more,
        }

    merged_at = now - timedelta(days=30)
    return [
        record(
            30,
            SMS_REVOCATION_EVENT_ID,
            "revocation",
            SMS_REVOKED,
            what={"purpose": "advertising", "channel": "sms"},
            process="personal account",
        ),
        record(
            180, TELECOM_EVENT_ID, "partner_origin", CAME_THROUGH_TELECOM, partner="example_telecom"
        ),
        record(
            299,
            REFUSAL_EVENT_ID,
            "questionnaire",
            REFUSED_ADVERTISING,
            consent="advertising",
            answer="no",
            process="questionnaire",
            channel="branch",
            document="Анкета № 4",
        ),
        record(
            90,
            COMPLAINT_EVENT_ID,
            "complaint",
            COMPLAINED,
            reason="complaint",
            what={"purpose": "advertising"},
            until=(now + timedelta(days=275)).date().isoformat(),
            process="call centre",
        ),
        record(
            60,
            QUESTIONNAIRE_EVENT_ID,
            "questionnaire",
            SIGNED_IN_QUESTIONNAIRE,
            consent="advertising",
            answer="signed_online",
            process="questionnaire",
            channel="web site",
            document="Анкета № 11",
        ),
        (
            merged_at,
            {
                "id": MERGE_EVENT_ID,
                "event": "card_merge",
                "duplicate": TWO_CARDS_DUPLICATE,
                "main": TWO_CARDS,
            },
        ),
    ]
