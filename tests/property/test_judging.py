"""Records judged by the thousand are answered as one by one."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.answer import answer_scope
from decision.catalog import Interval
from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import NO_BASIS, NOBODY, PermissionTimeline, Segment
from store import record
from store.code_numbers import narrow_scope_number
from store.judging import Records, asked_scopes
from store.judging_bases import Bases, read_bases
from store.record.layout import (
    ALIGNMENT_BYTES,
    FLAG_KNOWN,
    FLAG_WHOLE_SECONDS,
    HEADER,
    INDEX_OF_BEGINNING,
    LAST_SPAN,
    NARROW,
)
from tests.unit.record_builders import (
    ASKABLE,
    INSTANTS,
    MADE_AT,
    NUMBERS,
    SCOPES,
    encode,
    timelines,
)

pytestmark = pytest.mark.property

many_timelines = st.lists(timelines() | st.just(NOBODY), min_size=1, max_size=6)
instants = st.sampled_from(ASKABLE) | st.sampled_from(ASKABLE).map(lambda at: at - 1)
suspensions = st.none() | st.lists(
    st.sampled_from([BEGINNING, *INSTANTS, FOREVER]), min_size=2, max_size=2, unique=True
).map(lambda ends: Interval(min(ends), max(ends)))
asked_lists = st.lists(st.tuples(st.sampled_from(SCOPES), suspensions), min_size=1, max_size=4)


@given(many_timelines, asked_lists, instants)
def test_judged_together_as_one_by_one(
    held: list[PermissionTimeline], asked: list[tuple[Scope, Interval | None]], at: int
) -> None:
    """Reason, end and basis are those of `answer_scope`, for every record and scope."""
    written = [encode(timeline) for timeline in held]
    records = Records(written)
    assert records.readable.all()
    pairs = [(place, scope) for place in range(len(held)) for scope in range(len(asked))]
    places, scopes = (np.array(numbers) for numbers in zip(*pairs, strict=True))
    answers = records.judge(
        places,
        asked_scopes([one for one, _ in asked], [one for _, one in asked], NUMBERS),
        scopes,
        at,
        with_not_after=True,
    )
    assert not answers.is_damaged.any()
    for index, (place, number) in enumerate(pairs):
        scope, suspension = asked[number]
        expected = answer_scope(held[place], suspension, scope, at)
        assert Reason(int(answers.reasons[index])) is expected.reason
        if expected.is_allowed:
            assert int(answers.not_after[index]) == expected.not_after
            basis = int(answers.bases[index])
            assert record.read_basis(written[place], basis, NUMBERS) == expected.basis


@given(many_timelines, st.data())
def test_headers_are_read_as_one_by_one(
    held: list[PermissionTimeline], data: st.DataObject
) -> None:
    """Life, version and publication of each record, also beside missing ones."""
    numbers = st.integers(0, 2**32 - 1)
    written: list[bytes | None] = []
    for timeline in held:
        version = data.draw(st.integers(0, 2**63))
        plain = encode(timeline, version=version, publication=data.draw(numbers))
        written.append(record.stamp(plain, data.draw(numbers), data.draw(numbers)))
    written.insert(data.draw(st.integers(0, len(written))), None)
    records = Records(written)
    for place, one in enumerate(written):
        assert records.readable[place] == (one is not None)
        if one is not None:
            header = record.decode_header(one)
            assert header == (
                records.is_known[place],
                records.epochs[place],
                records.incarnations[place],
                records.versions[place],
                records.publications[place],
            )


def basis_of(found: Bases, place: int) -> Basis:
    """One of many bases, as it would be read alone, but for its matrix row."""
    granted = found.grants[found.granted[place]]
    product = Product(
        granted.system_code,
        granted.product_type,
        found.series[place].decode(),
        found.numbers[place].decode(),
    )
    return Basis(
        found.event_ids[place].decode(),
        granted.consent_type,
        granted.wording_version,
        product if granted.has_product else None,
        int(found.obtained_at[place]),
        int(found.ends_at[place]),
    )


@given(many_timelines)
def test_bases_are_read_together_as_one_by_one(held: list[PermissionTimeline]) -> None:
    """All but the matrix row, which no answer tells; also what has something written out."""
    written = [encode(timeline) for timeline in held]
    pairs = [
        (place, index)
        for place, timeline in enumerate(held)
        for index in range(len(record.decode(encode(timeline), NUMBERS).timeline.bases))
    ]
    if not pairs:
        return
    places, indexes = (np.array(numbers) for numbers in zip(*pairs, strict=True))
    found = read_bases(Records(written), places, indexes.astype(np.uint8), NUMBERS)
    assert found.is_readable.all()
    for number, (place, index) in enumerate(pairs):
        expected = record.read_basis(written[place], index, NUMBERS)
        assert basis_of(found, number) == expected._replace(matrix_row_id="")


def test_the_basis_of_a_purchase_is_read_together_with_others() -> None:
    """Codes have numbers, event ids and contracts are digits: nothing is left to be read alone."""
    basis = Basis(
        "row-a0e566b2ad423014d8a480cdce571e283cc6aae9",
        "numbered-1",
        2,
        Product("numbered-1", "numbered-2", "КК", "0000000394"),
        MADE_AT,
        FOREVER,
        "numbered-2",
    )
    timeline = PermissionTimeline(
        is_known=True,
        segments={SCOPES[0]: [Segment(MADE_AT, FOREVER, Reason.ALLOWED, 0)]},
        restrictions=(),
        bases=[basis],
    )
    records = Records([encode(timeline)])
    assert records.bases(np.array([0]), np.array([0])).left.tolist() == [0]
    found = read_bases(records, np.array([0]), np.array([0], np.uint8), NUMBERS)
    assert basis_of(found, 0) == basis._replace(matrix_row_id="")


damages = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


@given(many_timelines, damages, st.integers(0, 8), st.sampled_from(SCOPES), st.booleans())
def test_damaged_records_do_no_harm(
    held: list[PermissionTimeline],
    damage: list[tuple[int, int]],
    cut: int,
    scope: Scope,
    is_last: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    """They are told apart, or answered as they read one by one; their neighbours are untouched."""
    damaged = bytearray(encode(held[0]))
    for at, byte in damage:
        damaged[at % len(damaged)] = byte
    written = [encode(timeline) for timeline in held]
    damaged_place = len(written) if is_last else 0
    written.insert(damaged_place, bytes(damaged[: len(damaged) - cut]))
    records = Records(written)
    assert np.delete(records.readable, damaged_place).all()
    places = np.flatnonzero(records.readable)
    asked = asked_scopes([scope], [None], NUMBERS)
    answers = records.judge(places, asked, np.zeros_like(places), MADE_AT)
    for index, place in enumerate(places):
        if answers.is_damaged[index]:
            assert place == damaged_place
            continue
        try:
            selection = NUMBERS.selection((scope,))
            decoded = record.decode(written[place], NUMBERS, selection).timeline
        except (ValueError, LookupError):
            # It reads whole records, beyond what the answer needs.
            assert place == damaged_place
            continue
        found = Reason(int(answers.reasons[index]))
        assert found is answer_scope(decoded, None, scope, MADE_AT).reason


@given(st.lists(timelines(), min_size=1, max_size=4), damages)
def test_damaged_bases_do_no_harm(
    held: list[PermissionTimeline], damage: list[tuple[int, int]]
) -> None:
    """What is told of them is text, and what is told of their neighbours is theirs."""
    damaged = bytearray(encode(held[0]))
    for at, byte in damage:
        damaged[at % len(damaged)] = byte
    written = [bytes(damaged), *(encode(timeline) for timeline in held)]
    records = Records(written)
    places = np.flatnonzero(records.readable)
    found = read_bases(records, places, np.zeros(len(places), np.uint8), NUMBERS)
    for number, place in enumerate(places.tolist()):
        try:
            expected = record.read_basis(written[place], 0, NUMBERS)
        except (ValueError, LookupError):
            # Only the matrix row may be what is damaged.
            assert place == 0 or not found.is_readable[number]
            if found.is_readable[number]:
                basis_of(found, number)
            continue
        assert found.is_readable[number]
        assert basis_of(found, number) == expected._replace(matrix_row_id="")


def test_the_end_of_the_last_record_is_not_left_behind() -> None:
    """Nobody writes a record that is nearly all instants; beside exact ones it is read as well."""
    scope_number = narrow_scope_number(NUMBERS.scope_number(SCOPES[0]))
    seconds = range(1, 201)
    counts = NARROW.counts.pack(len(seconds), 1, 1, 0, 0, (32 + 4 * len(seconds) + 12) // 4)
    last = (
        HEADER.pack(NARROW.format, FLAG_KNOWN | FLAG_WHOLE_SECONDS, 0, 1, 1, 1, 1)
        + counts
        + struct.pack("<200I", *seconds)
        + struct.pack("<I", scope_number)
        + NARROW.span.pack(INDEX_OF_BEGINNING, 201, NARROW.no_basis_index, LAST_SPAN | 1)
        + bytes(ALIGNMENT_BYTES)
    )
    segments = {SCOPES[0]: [Segment(MADE_AT + 1, FOREVER, Reason.CONSENT_REVOKED, NO_BASIS)]}
    exact = PermissionTimeline(is_known=True, segments=segments, restrictions=(), bases=())
    records = Records([encode(exact), last])
    asked = asked_scopes([SCOPES[0]], [None], NUMBERS)
    for at, expected in [(200_000_000 - 1, Reason.ALLOWED), (200_000_000, Reason.NO_CONSENT)]:
        answers = records.judge(np.array([1]), asked, np.array([0]), at)
        assert answers.reasons.tolist() == [expected]
        assert not answers.is_damaged.any()


def test_what_is_no_narrow_record_is_left_to_be_read_one_by_one() -> None:
    """Wide ones, those of older versions, and what is none at all."""
    known = encode(NOBODY)
    wide = bytes([record.WIDE.format]) + known[1:]
    older = bytes([1]) + known[1:]
    readable = Records([known, wide, older, b"", b"abcd", None, known]).readable
    assert readable.tolist() == [True, False, False, False, False, False, True]
