"""The consents file of the invented history: questionnaires, revocations, complaints and the like.

What lives here: JSON Lines as a front office would export them, in order of time but for the late
ones, with repeats and bad lines whose number is returned.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

from service.demo.contracts import HISTORY_DAYS, Contract

QUESTIONNAIRE_SHARE: Final = 0.25
REVOCATION_SHARE: Final = 0.04
COMPLAINT_SHARE: Final = 0.01
ORIGIN_SHARE: Final = 0.06
DUPLICATE_CARD_SHARE: Final = 0.002
MISTAKE_SHARE: Final = 0.0005
REPEATED_SHARE: Final = 0.004

_PROCESSES: Final = (
    ("questionnaire", "branch"),
    ("questionnaire", "web site"),
    ("call centre", "phone"),
)
_ANSWERS: Final = ("yes", "yes", "yes", "signed_online", "no", "skipped")
_QUESTIONS: Final = (
    # The type, and the first year in which the starter catalog has a wording of it.
    ("advertising", 2015),
    ("advertising", 2015),
    ("third_party_transfer", 2016),
    ("personal_offers", 2018),
    ("biometrics", 2019),
    ("credit_bureau_application", 2016),
)
_REVOKED: Final[tuple[dict[str, Any], ...]] = (
    {"purpose": "advertising", "channel": "sms"},
    {"purpose": "advertising", "channel": "phone"},
    {"purpose": "advertising"},
    {"channel": "phone"},
    {"type": "third_party_transfer"},
    {"partner": "example_insurance"},
    {"all": True},
)
_RESTRICTED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("complaint", {"purpose": "advertising"}),
    ("complaint", {"channel": "phone"}),
    ("do_not_contact", {"kind": "contact"}),
    ("legal_hold", {"kind": "share"}),
    ("deceased", {"all": True}),
)
_ORIGINS: Final = ("example_telecom", "example_marketplace", "example_insurance")

_AT: Final = '"at": "2020-01-01"'
_ADVERTISING: Final = f'{_AT}, "consent": "advertising"'
_UNKNOWN_TYPE: Final = '"consent": "loyalty_card", "answer": "yes"'
_YES_UNTIL: Final = '"answer": "yes", "until": "2019-01-01"'

# Every one of these is one bad line with one fault.
_BAD_LINES: Final = (
    '{"id": "BAD-1", "event": "questionnaire", "client": "10000001", ',
    '{"id": "BAD-2", "id": "BAD-2", "event": "card_merge", "duplicate": "1", "main": "2"}',
    f'{{"id": "BAD-3", "event": "questionnaire", "client": null, {_ADVERTISING}, "answer": "yes"}}',
    f'{{"id": "BAD-4", "event": "newsletter", "client": "10000004", {_AT}}}',
    f'{{"id": "BAD-5", "event": "revocation", "client": 1.5, {_AT}, "what": {{"all": true}}}}',
    f'{{"id": "BAD-6", "event": "questionnaire", "client": "1", {_ADVERTISING}, "answer": "?"}}',
    '{"id": "BAD-7", "event": "revocation", "client": "1", "at": "?", "what": {"all": true}}',
    f'{{"id": "BAD-8", "event": "revocation", "client": "10000008", {_AT}, "what": {{}}}}',
)
# These read well, but the writer refuses them: codes of no catalog, an end before its beginning.
_REFUSED_LINES: Final = (
    f'{{"id": "R-1", "event": "questionnaire", "client": "1", {_AT}, {_UNKNOWN_TYPE}}}',
    f'{{"id": "R-2", "event": "partner_origin", "client": "10000002", {_AT}, "partner": "nobody"}}',
    f'{{"id": "R-3", "event": "questionnaire", "client": "1", {_ADVERTISING}, {_YES_UNTIL}}}',
)

DatedRecord: TypeAlias = tuple[datetime, dict[str, Any]]


class ConsentsFile(NamedTuple):
    """What was written."""

    path: Path
    event_lines: int
    """Lines that are events the writer takes, repeats included."""
    repeats: int
    bad_lines: int
    refused_lines: int
    """Lines that read well but that the writer must refuse."""


def duplicate_cards(random: Random, contracts: list[Contract]) -> dict[int, str]:
    """Choose contracts that were sold under a second card of the customer: index to that card."""
    count = max(1, int(len(contracts) * DUPLICATE_CARD_SHARE / 3))
    chosen = sorted(random.sample(range(len(contracts)), count))
    by_card = {f"{contracts[index].customer_id}-2": index for index in chosen}
    return {index: card for card, index in by_card.items()}


def write_consents_file(
    path: Path,
    random: Random,
    now: datetime,
    customer_ids: list[str],
    more: list[DatedRecord],
) -> ConsentsFile:
    """Write random records of the customers and the given ones. `now` has a zone."""
    maker = _RecordMaker(random, now)
    dated = list(more)
    for share, make in (
        (QUESTIONNAIRE_SHARE, maker.questionnaire),
        (REVOCATION_SHARE, maker.revocation),
        (COMPLAINT_SHARE, maker.complaint),
        (ORIGIN_SHARE, maker.origin),
        (MISTAKE_SHARE, maker.mistake),
    ):
        for customer_id in random.sample(customer_ids, int(len(customer_ids) * share)):
            dated += make(customer_id)
    event_count = len(dated)
    for at, record in random.sample(dated, int(event_count * REPEATED_SHARE)):
        dated.append((at + timedelta(days=random.randrange(1, 90)), record))
    dated.sort(key=lambda entry: entry[0])
    lines = [json.dumps(record, ensure_ascii=False) for _, record in dated]
    for line in (*_BAD_LINES, *_REFUSED_LINES, ""):
        lines.insert(random.randrange(len(lines) + 1), line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ConsentsFile(
        path, len(dated), len(dated) - event_count, len(_BAD_LINES), len(_REFUSED_LINES)
    )


def merge_record(random: Random, now: datetime, duplicate: str, main: str) -> DatedRecord:
    """Give the record of two cards found to be one person's."""
    at = now - timedelta(days=random.randrange(1, 700))
    return at, {"id": f"M-{duplicate}", "event": "card_merge", "duplicate": duplicate, "main": main}


class _RecordMaker:
    """Makes random records; each method gives those of one customer's story, with their times."""

    def __init__(self, random: Random, now: datetime) -> None:
        self._random = random
        self._now = now.replace(microsecond=0)
        self._count = 0

    def questionnaire(self, customer_id: str) -> list[DatedRecord]:
        consent, first_year = self._random.choice(_QUESTIONS)
        at = self._moment()
        if at.year < first_year:
            consent = "advertising"
        process, channel = self._random.choice(_PROCESSES)
        fields = {
            "consent": consent,
            "answer": self._random.choice(_ANSWERS),
            "process": process,
            "channel": channel,
            "document": f"Анкета № {self._count + 1} от {at:%d.%m.%Y}",
        }
        return [self._record(at, "questionnaire", customer_id, fields)]

    def revocation(self, customer_id: str) -> list[DatedRecord]:
        what = self._random.choice(_REVOKED)
        process = self._random.choice(("personal account", "call centre", "branch"))
        fields = {"what": what, "process": process}
        return [self._record(self._moment(), "revocation", customer_id, fields)]

    def complaint(self, customer_id: str) -> list[DatedRecord]:
        reason, what = self._random.choice(_RESTRICTED)
        at = self._moment()
        fields: dict[str, Any] = {"reason": reason, "what": what, "process": "call centre"}
        if self._random.random() < 0.5:  # noqa: PLR2004 - every other one has an end
            fields["until"] = (at + timedelta(days=730)).date().isoformat()
        complaint = self._record(at, "complaint", customer_id, fields)
        closed_at = at + timedelta(days=self._random.randrange(20, 200))
        if reason != "complaint" or closed_at >= self._now:
            return [complaint]
        closing = {"complaint": complaint[1]["id"], "process": "claims department"}
        return [complaint, self._record(closed_at, "complaint_closed", customer_id, closing)]

    def origin(self, customer_id: str) -> list[DatedRecord]:
        fields = {"partner": self._random.choice(_ORIGINS), "process": "partner channel"}
        return [self._record(self._moment(), "partner_origin", customer_id, fields)]

    def mistake(self, customer_id: str) -> list[DatedRecord]:
        """Give a revocation typed for the wrong customer, and its correction the next day."""
        [(at, revocation)] = self.revocation(customer_id)
        self._count += 1
        correction = {
            "id": f"A-{self._count:06d}",
            "event": "mistake",
            "wrong": revocation["id"],
            "cause": "внесено не тому клиенту",
        }
        return [(at, revocation), (at + timedelta(days=1), correction)]

    def _moment(self) -> datetime:
        return self._now - timedelta(
            days=self._random.randrange(1, HISTORY_DAYS), seconds=self._random.randrange(86_400)
        )

    def _record(
        self, at: datetime, event: str, customer_id: str, fields: dict[str, Any]
    ) -> DatedRecord:
        self._count += 1
        record = {"id": f"A-{self._count:06d}", "event": event, "client": customer_id}
        return at, record | {"at": at.isoformat()} | fields
