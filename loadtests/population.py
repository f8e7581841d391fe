"""The customers that measurements ask about, and their history as a back office's file.

What lives here: made-up customers, the same for the same numbers, and nothing that talks to a
server. Each holds a loan, a card and a deposit, and so has consents in twelve scopes of
`catalog.yaml`; some have also revoked, complained, refused, closed a product or come through a
partner, so that every part of the allow rule has work.
"""

import csv
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Final

CATALOG_PATH: Final = Path(__file__).with_name("catalog.yaml")
MAPPING_PATH: Final = Path(__file__).with_name("mapping.yaml")

COLUMNS: Final = (
    "system",
    "product",
    "series",
    "number",
    "customer",
    "operation",
    "at",
    "process",
    "what",
)
DELIMITER: Final = ";"

PRODUCTS: Final = (
    ("ABS", "consumer_loan", "КР", "{:08d}"),
    ("CARDS", "credit_card", "КК", "{:010d}"),
    ("DEPO", "deposit", "ДВ", "{:08d}"),
)
"""System, type, series and form of the number of the three products that everybody holds."""

HISTORY_DAYS: Final = 5 * 365
LOAN_CLOSED_SHARE: Final = 0.04
REVOKED_SHARE: Final = 0.08
COMPLAINED_SHARE: Final = 0.03
REFUSED_SHARE: Final = 0.02
CAME_THROUGH_PARTNER_SHARE: Final = 0.03


def customer_id(number: int) -> str:
    """Give the id of a customer: 36 characters, the text of a UUID."""
    return str(uuid.UUID(bytes=blake2b(b"%d" % number, digest_size=16).digest(), version=4))


def write_history(path: Path, first: int, count: int) -> int:
    """Write the history of so many customers from a number on; give how many rows it has.

    Rows stand by customer, as back offices export them, each customer's by time.
    """
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=DELIMITER)
        writer.writerow(COLUMNS)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for number in range(first, first + count):
            history = sorted(_history(number, today), key=lambda row: row[6])
            writer.writerows(history)
            rows += len(history)
    return rows


def _history(number: int, today: datetime) -> Iterator[tuple[str, ...]]:
    random = Random(number)
    customer = customer_id(number)

    def at(days_ago_max: int) -> str:
        ago = timedelta(days=random.randrange(1, days_ago_max), seconds=random.randrange(86_400))
        return f"{today - ago:%Y-%m-%dT%H:%M:%S}"

    for place, (system, product, series, form) in enumerate(PRODUCTS):
        contract = form.format(number * len(PRODUCTS) + place)
        bought_at = at(HISTORY_DAYS)
        sold = (system, product, series, contract, customer)
        yield (*sold, "bought", bought_at, "back office", "")
        if product == "consumer_loan" and random.random() < LOAN_CLOSED_SHARE:
            yield (*sold, "closed", max(at(90), bought_at), "back office", "")
    nothing_sold = ("", "", "", "", customer)
    if random.random() < REVOKED_SHARE:
        channel = random.choice(("phone", "sms", "email"))
        yield (*nothing_sold, "revoked", at(365), "call centre", channel)
    if random.random() < COMPLAINED_SHARE:
        yield (*nothing_sold, "complained", at(365), "call centre", "advertising")
    if random.random() < REFUSED_SHARE:
        yield (*nothing_sold, "answered", at(365), "questionnaire", "quality_survey")
    if random.random() < CAME_THROUGH_PARTNER_SHARE:
        partner = random.choice(("example_telecom", "example_marketplace"))
        yield (*nothing_sold, "came", at(HISTORY_DAYS), "partner", partner)
