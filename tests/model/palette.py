"""The small stock from which a scenario is put together, so that things collide.

What lives here: the instants, customers, products, codes and ids of scenarios. What must
not: catalogs and steps. Everything is scarce on purpose: the same instant serves as the
end of one thing and the beginning of another.
"""

from dataclasses import dataclass
from typing import Any, Final

from tests.model.choices import Choices, chance, pick, some
from tests.model.instants import add_duration, format_instant, parse_instant

EARLY: Final = "2010-01-01T00:00:00Z"
PURPOSES: Final = ("advertising", "service")
CHANNELS: Final = ("sms", "phone")
PARTNERS: Final = ("acme", "blue")
DATASETS: Final = ("contacts", "scoring")
CONSENT_TYPES: Final = ("type_a", "type_b", "type_c")

ZONES: Final = (
    "Europe/Moscow",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "UTC",
)
TERMS: Final = (
    "until_product_closed",
    "P1M",
    "until_product_closed",
    "P1Y",
    "until_product_closed",
    "indefinite",
    "P20D",
    "P2W",
    "P1Y2M1W3D",
    "P13M",
    "P10Y",
)
DURATIONS: Final = tuple(term for term in TERMS if term.startswith("P"))

PAST_ANCHORS: Final = (
    "2024-01-31T10:00:00Z",
    "2024-02-29T12:00:00Z",
    "2023-12-31T23:59:59.999999Z",
    # A month later the local time falls into a gap: New York, Berlin, Lord Howe (half an
    # hour), Apia (a whole day).
    "2025-02-09T07:30:00Z",
    "2023-02-26T01:30:00Z",
    "2024-09-05T15:45:00.5Z",
    "2011-11-30T22:00:00Z",
    # A month later the local time is ambiguous: New York, Berlin.
    "2025-10-02T05:30:00Z",
    "2024-09-27T00:30:00Z",
    "2022-05-01T00:00:00Z",
)
FUTURE_ANCHORS: Final = (
    "2042-01-31T00:00:00Z",
    "2043-02-08T07:30:00Z",
    "2044-02-29T00:00:00.000001Z",
)

CONTRACTS: Final = (
    (("KR-01", "кр 01", "Kr\u201101"), ("7-1", "71", "７１")),
    (("KR", "КR", "k r"), ("0012", "00 12")),
    (("", None), ("71", "7 1")),
    (("X\u2014Y", "ху", "XY"), ("№7", "NO7", "no 7")),
)
"""Series and numbers; the spellings of one contract are equal after normalisation."""

CUSTOMERS: Final = ("anna", "boris", "vera", "Анна")
EVENT_ID_STEMS: Final = ("e", "E", "é", "я", "\uff45", "\U0001f600", "e-", "10")
"""Their order by code point is not their order by UTF-16 unit or by dictionary."""


@dataclass(frozen=True)
class Palette:
    """What one scenario is made of; instants are RFC 3339 texts in ascending order."""

    zone: str
    instants: tuple[str, ...]
    customers: tuple[str, ...]


def palette(choices: Choices) -> Palette:
    """A stock: a few instants, some of them exactly one term apart in the zone."""
    zone = pick(choices, ZONES)
    anchors = some(choices, PAST_ANCHORS, 4)
    if chance(choices, 70):
        anchors.append(pick(choices, FUTURE_ANCHORS))
    instants = {parse_instant(anchor) for anchor in anchors}
    for _ in range(1 + choices.below(4)):
        anchor = parse_instant(pick(choices, anchors))
        instants.add(add_duration(anchor, pick(choices, DURATIONS), zone))
    if chance(choices, 30):
        instants.add(parse_instant(pick(choices, anchors)) - 1)
    return Palette(
        zone=zone,
        instants=tuple(format_instant(instant) for instant in sorted(instants)),
        customers=tuple(some(choices, CUSTOMERS, 3, 2)),
    )


def product(choices: Choices) -> dict[str, Any]:
    """A product: one of few contracts, in one of its spellings."""
    contract = CONTRACTS[0] if chance(choices, 45) else pick(choices, CONTRACTS)
    series_spellings, number_spellings = contract
    found: dict[str, Any] = {
        "system_code": pick(choices, ("ABS", "CARDS")),
        "product_type": pick(choices, ("loan", "card")),
        "series": pick(choices, series_spellings),
        "number": pick(choices, number_spellings),
    }
    return {name: value for name, value in found.items() if value is not None}


def event_id(choices: Choices, number: int) -> str:
    """A new event id; the number makes it unique."""
    return f"{pick(choices, EVENT_ID_STEMS)}{number}"


def selector(choices: Choices, *, for_revocation: bool, event_ids: list[str]) -> dict[str, Any]:
    """A selector that the rules allow; event_ids are those that a revocation may name."""
    if chance(choices, 12):
        return {"all": True}
    found: dict[str, Any] = {}
    kind = pick(choices, ("contact", "share", "process", "any"))
    if kind == "contact":
        _maybe(choices, found, "channel", CHANNELS)
    if kind == "share":
        _maybe(choices, found, "partner", PARTNERS)
        _maybe(choices, found, "dataset", DATASETS)
    if kind != "any" and chance(choices, 50):
        found["kind"] = kind
    if chance(choices, 35):
        found["purpose"] = pick(choices, PURPOSES)
    if for_revocation:
        _maybe(choices, found, "consent_type", CONSENT_TYPES)
        if event_ids and chance(choices, 25):
            found["event_id"] = pick(choices, event_ids)
    return found or {"purpose": pick(choices, PURPOSES)}


def _maybe(choices: Choices, found: dict[str, Any], name: str, codes: tuple[str, ...]) -> None:
    if chance(choices, 50):
        found[name] = pick(choices, codes)
