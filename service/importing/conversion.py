"""Turning the texts of one record into an event.

What lives here: which kind of event a record is, and its event id, given or derived. What the kinds
say is in `plan`. Whether codes exist and what an event means is the writer's to say.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final
from zoneinfo import ZoneInfo

from service.importing.errors import EventIdKeyMissingError
from service.importing.mapping import FieldSource, FileMapping
from service.importing.messages import EVENT_ID
from service.importing.plan import (
    Content,
    EventIdsOf,
    KindPlan,
    Lookup,
    LookupOf,
    cell_text,
    shown_field,
)
from service.importing.values import RecordFaultError, read_identifier, readers

DERIVED_ID_PREFIX: Final = "row-"
DERIVED_ID_HEX_DIGITS: Final = 40

EVENT_ID_KEY_BYTES: Final = 32
"""Length of the installation's secret, as the contract has it."""

HASH_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = 0x36
_OUTER_PAD: Final = 0x5C


class EventBuilder:
    """Makes events of the records of one file. Dates without an offset are of `zone`."""

    def __init__(
        self,
        mapping: FileMapping,
        zone: ZoneInfo,
        event_id_key: bytes | None,
        lookup_of: LookupOf,
    ) -> None:
        """Take the key that event ids are derived with, if the mapping derives them.

        `lookup_of` gives the way to look up a column, which is asked for once for each field.
        Raises EventIdKeyMissingError.
        """
        self._event_id_key = event_id_key or b""
        if mapping.event_id is None and len(self._event_id_key) != EVENT_ID_KEY_BYTES:
            raise EventIdKeyMissingError(
                "the mapping derives event ids, which takes the installation's key of "
                f"{EVENT_ID_KEY_BYTES} bytes; the writer gives it as an import begins"
            )
        read = readers(mapping.date_formats, mapping.zone or zone)
        plans = {op: KindPlan(kind, read, lookup_of) for op, kind in mapping.kinds.items()}
        self._plans = _PlansByCell(mapping.kind, plans)
        # A constant is looked up as it is, whatever the record.
        self._kind_lookup = (
            _nothing if mapping.kind.column is None else lookup_of(mapping.kind.column)
        )
        self._event_ids_of: EventIdsOf = partial(_derived_ids, self._event_id_key)
        if mapping.event_id is not None:
            lookup = lookup_of(mapping.event_id.column or "")
            self._event_ids_of = partial(_given_ids, mapping.event_id, lookup)

    def events(self, contents: Sequence[Content]) -> list[bytes | str]:
        """Give the `Event` of each record, as bytes, or the reason why it has none."""
        events: list[bytes | str] = [""] * len(contents)
        places_of: dict[KindPlan, list[int]] = defaultdict(list)
        for place, content in enumerate(contents):
            try:
                places_of[self._plans[self._kind_lookup(content)]].append(place)
            except RecordFaultError as error:
                events[place] = str(error)
        for plan, places in places_of.items():
            made = self._made(plan, [contents[place] for place in places])
            for place, event in zip(places, made, strict=True):
                events[place] = event
        return events

    def _made(self, plan: KindPlan, contents: Sequence[Content]) -> Sequence[bytes | str]:
        """Give the events of records of one kind; those at fault are found by halving."""
        try:
            return plan.events(contents, self._event_ids_of)
        except RecordFaultError as error:
            if len(contents) == 1:
                return [str(error)]
        middle = len(contents) // 2
        return [*self._made(plan, contents[:middle]), *self._made(plan, contents[middle:])]


class _PlansByCell(dict[str | None, KindPlan]):
    """The plan of a record, by the cell that says its kind. Raises RecordFaultError."""

    def __init__(self, source: FieldSource, plans: Mapping[str, KindPlan]) -> None:
        self._source = source
        self._plans = plans
        if source.constant is not None:
            self[None] = plans[source.constant]

    def __missing__(self, cell: str | None) -> KindPlan:
        plan = self._plans[_required_text("kind", self._source, cell)]
        if cell == (cell or "").strip():
            # Only as many as the mapping lists.
            self[cell] = plan
        return plan


def _nothing(_: Content) -> None:
    return None


def _given_ids(
    source: FieldSource, lookup: Lookup, contents: Sequence[Content], _: Iterable[bytes]
) -> Iterable[str]:
    """Give the event ids that a column has. Raises RecordFaultError."""
    return [
        read_identifier(EVENT_ID, _required_text(EVENT_ID, source, cell))
        for cell in map(lookup, contents)
    ]


def _derived_ids(key: bytes, _: Sequence[Content], members: Iterable[bytes]) -> Iterable[str]:
    return [derived_event_id(b"{%b}" % one[1:], key) for one in members]


def _required_text(name: str, source: FieldSource, cell: str | None) -> str:
    text = cell_text(name, source, cell)
    if not text:
        raise RecordFaultError(f"{shown_field(name, source)} is empty")
    return text


def derived_event_id(content: bytes, key: bytes) -> str:
    """Give the id of an event that has none: an HMAC-SHA-256 of its content, as JSON.

    The content is written as for every id that was ever derived: sorted keys, no spaces, no
    escapes. Under one key the same content has the same id in every file and on every run, so that
    importing twice, or going on after an interruption, doubles nothing, and an exact duplicate of a
    row is a repeat. Event ids outlast an erasure: without the key, trying out customer ids finds
    nobody.
    """
    begun_inner, begun_outer = _begun(key)
    inner, outer = begun_inner.copy(), begun_outer.copy()
    inner.update(content)
    outer.update(inner.digest())
    return DERIVED_ID_PREFIX + outer.hexdigest()[:DERIVED_ID_HEX_DIGITS]


@lru_cache(maxsize=1)
def _begun(key: bytes) -> Sequence["hashlib._Hash"]:
    """Begin both hashes of an HMAC (RFC 2104) once; `hmac` takes as long as all the rest."""
    padded = key.ljust(HASH_BLOCK_BYTES, b"\0")
    return [
        hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (_INNER_PAD, _OUTER_PAD)
    ]
