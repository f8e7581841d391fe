"""Cached records: nothing that a check can ask is lost on the way through the bytes."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.answer import answer_scope
from decision.catalog_history import CodeList
from decision.grants import Basis
from decision.instants import FOREVER
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import Scope, share
from decision.selectors import EVERYTHING, Selector
from decision.timeline import (
    NO_BASIS,
    NOBODY,
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store import record
from store.code_numbers import (
    CodeNumbers,
    narrow_scope_number,
    patterns_matching,
    wide_scope_number,
)
from tests.unit.record_builders import (
    ASKABLE,
    HOUR,
    MADE_AT,
    NUMBERS,
    SCOPES,
    encode,
    selectors,
    timelines,
    widened,
)


@given(timelines())
def test_a_whole_record_answers_like_its_timeline(timeline: PermissionTimeline) -> None:
    """Every scope has the same answer, basis included, at any instant from an hour ago on."""
    decoded = record.decode(encode(timeline), NUMBERS).timeline
    for scope in SCOPES:
        for at in ASKABLE:
            assert answer_scope(decoded, None, scope, at) == answer_scope(timeline, None, scope, at)


@given(timelines())
def test_a_record_that_is_read_for_comparing_says_the_same(timeline: PermissionTimeline) -> None:
    """Bases that are read when asked for are those that are read with the rest."""
    encoded = encode(timeline)
    whole = record.decode(encoded, NUMBERS).timeline
    compared = record.decode_for_comparing(encoded, NUMBERS)
    assert (compared.is_known, [*compared.restrictions]) == (whole.is_known, [*whole.restrictions])
    assert compared.segments.keys() == whole.segments.keys()
    for scope, segments in whole.segments.items():
        assert [with_basis(compared, segment) for segment in compared.segments[scope]] == [
            with_basis(whole, segment) for segment in segments
        ]
    assert encode(compared) == encode(whole)


def with_basis(timeline: PermissionTimeline, segment: Segment) -> tuple[object, ...]:
    """A segment with its basis itself, in the place of where that is."""
    basis = None if segment.basis == NO_BASIS else timeline.bases[segment.basis]
    return (*segment[:3], basis)


@given(timelines())
def test_scopes_that_do_not_share_their_segments_make_the_same_record(
    timeline: PermissionTimeline,
) -> None:
    """Equal timelines give equal bytes, however their courses were told apart."""
    apart = replace(
        timeline, segments={scope: [*course] for scope, course in timeline.segments.items()}
    )
    assert encode(apart) == encode(timeline)


@given(timelines(), st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3))
def test_a_part_of_a_record_answers_like_the_whole(
    timeline: PermissionTimeline, scopes: list[Scope]
) -> None:
    """What is left unread is nothing that the asked scopes need."""
    decoded = record.decode(encode(timeline), NUMBERS, NUMBERS.selection(tuple(scopes))).timeline
    assert set(decoded.segments) <= set(scopes)
    for scope in scopes:
        for at in ASKABLE:
            assert answer_scope(decoded, None, scope, at) == answer_scope(timeline, None, scope, at)


@given(
    timelines() | timelines().map(widened),
    st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3),
    st.sampled_from(ASKABLE) | st.sampled_from(ASKABLE).map(lambda at: at - 1),
)
def test_read_for_an_instant_a_record_answers_like_the_whole(
    timeline: PermissionTimeline, scopes: list[Scope], at: int
) -> None:
    """Reason, end and basis are the same at that instant, and no other basis is read."""
    encoded = encode(timeline)
    selection = NUMBERS.selection(tuple(scopes))
    read = record.decode_at(encoded, record.decode_header(encoded), NUMBERS, selection, at)
    for scope in scopes:
        assert answer_scope(read, None, scope, at) == answer_scope(timeline, None, scope, at)
    assert len(read.bases) <= len(scopes)


@given(timelines(), st.data())
def test_a_record_that_is_cut_off_is_refused(
    timeline: PermissionTimeline, data: st.DataObject
) -> None:
    """Missing bytes never pass for permissions."""
    whole = encode(timeline)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part notices it
        record.decode_for_comparing(whole[:length], NUMBERS)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part notices it
        record.decode(whole[:length], NUMBERS)


damages = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(b'\x00\x01\xff",.[]{}0 ')),
    min_size=1,
    max_size=6,
)


@given(timelines(), damages)
def test_damage_is_either_refused_or_another_timeline(
    timeline: PermissionTimeline, damage: list[tuple[int, int]]
) -> None:
    """Whoever reads damaged bytes has to expect what `decode` documents, and nothing else."""
    damaged = bytearray(encode(timeline))
    for at, byte in damage:
        damaged[at % len(damaged)] = byte
    try:
        decoded = record.decode(bytes(damaged), NUMBERS).timeline
    except (ValueError, LookupError):
        return
    for scope in SCOPES:
        answer_scope(decoded, None, scope, MADE_AT)


def allowed(basis: Basis) -> PermissionTimeline:
    """One scope, allowed for ever on one basis."""
    return PermissionTimeline(
        is_known=True,
        segments={SCOPES[0]: [Segment(MADE_AT, FOREVER, Reason.ALLOWED, 0)]},
        restrictions=(),
        bases=[basis],
    )


texts = st.one_of(
    st.text(max_size=4),
    st.uuids().map(str),
    st.text("0123456789", max_size=20),
    st.text("0123456789abcdefABCDEF-", max_size=40),
    st.text("rowж-", max_size=8).flatmap(
        lambda start: st.text("0123456789abcdef", max_size=40).map(lambda end: start + end)
    ),
)
codes = st.sampled_from(["", "numbered-1", "numbered-2", "without a number", "еще один"])


@given(
    st.builds(
        Basis,
        texts,
        codes.filter(bool),
        st.integers(1, 2**31 - 1),
        st.none() | st.builds(Product, codes, codes, texts, texts),
        st.integers(-(2**55), 2**55),
        st.integers(-(2**55), 2**55),
        codes,
    )
)
def test_a_basis_reads_back_as_it_was(basis: Basis) -> None:
    """Whether its codes have numbers and its texts are digits makes no difference."""
    assert record.decode(encode(allowed(basis)), NUMBERS).timeline.bases == [basis]


def test_a_basis_that_is_cut_off_is_refused() -> None:
    """The length may be right and what lies there wrong all the same."""
    whole = encode(allowed(Basis("event", "type", 1, None, MADE_AT, FOREVER)))
    short = whole[: whole.index(b"event") + 2]
    short += bytes(-len(short) % 4)
    damaged = bytearray(short)
    damaged[30:32] = (len(short) // 4).to_bytes(2, "little")
    with pytest.raises(ValueError, match="basis"):
        record.decode(bytes(damaged), NUMBERS)


def test_the_header_says_what_the_record_is() -> None:
    """Version, publication, and after stamping the life of the cache, are read from the header."""
    plain = encode(NOBODY, version=2**40, publication=7)
    assert record.decode_header(plain) == record.Header(
        is_known=False, epoch=0, incarnation=0, version=2**40, publication=7
    )
    stamped = record.stamp(plain, 3, 9)
    assert record.decode_header(stamped) == record.Header(
        is_known=False, epoch=3, incarnation=9, version=2**40, publication=7
    )


@given(timelines(), st.integers(0, 2**31), st.integers(0, 2**31))
def test_the_content_does_not_depend_on_stamp_version_or_publication(
    timeline: PermissionTimeline, epoch: int, incarnation: int
) -> None:
    """Content compares what a record says, not when it was written."""
    one = record.stamp(encode(timeline, version=1, publication=1), epoch, incarnation)
    other = encode(timeline, version=2, publication=3)
    assert record.content_of(one) == record.content_of(other)


def test_a_person_nobody_knows_has_another_content_than_one_without_permissions() -> None:
    """Being known is part of the content."""
    known = PermissionTimeline(is_known=True, segments={}, restrictions=(), bases=())
    assert record.content_of(encode(known)) != record.content_of(encode(NOBODY))


def test_a_person_with_very_many_intervals_has_a_wide_record() -> None:
    """What one byte can not count is counted with four, and reads back the same."""
    count = record.NARROW.no_basis_index
    restrictions = [
        RestrictedInterval(EVERYTHING, MADE_AT + 2 * index, MADE_AT + 2 * index + 1)
        for index in range(count)
    ]
    basis = Basis("event", "calls", 1, None, MADE_AT, MADE_AT + 1)
    segments = {
        SCOPES[0]: [
            Segment(MADE_AT, MADE_AT + 1, Reason.ALLOWED, 0),
            Segment(MADE_AT + 1, FOREVER, Reason.CONSENT_EXPIRED),
        ]
    }
    timeline = PermissionTimeline(
        is_known=True, segments=segments, restrictions=restrictions, bases=[basis]
    )
    encoded = encode(timeline)
    assert encoded[0] == record.WIDE.format
    assert record.decode(encoded, NUMBERS).timeline == timeline


def test_bytes_of_another_format_are_no_record() -> None:
    """A format that this code does not know is not guessed at."""
    with pytest.raises(ValueError, match="format"):
        record.decode_header(b"\x09" + encode(NOBODY)[1:])


@pytest.mark.parametrize("older", [1, 2])
def test_of_an_older_format_the_header_is_read_and_nothing_else(older: int) -> None:
    """Whose life such a record is of can be told; what it permits is read from PostgreSQL."""
    present = bytes([older]) + encode(NOBODY, version=4)[1:]
    assert record.decode_header(present).version == 4
    with pytest.raises(ValueError, match="format"):
        record.decode(present, NUMBERS)


def test_a_scope_beyond_the_narrow_numbers_makes_a_wide_record() -> None:
    """No catalog is too large: its records are only longer."""
    scope = share("purpose-1", "partner-9", "dataset-9")
    numbers = CodeNumbers(
        {
            (CodeList.PURPOSE, "purpose-1"): 2**12 - 1,
            (CodeList.PARTNER, "partner-9"): 2**16 - 1,
            (CodeList.DATASET, "dataset-9"): 2**16 - 1,
        }
    )
    timeline = PermissionTimeline(
        is_known=True,
        segments={scope: [Segment(MADE_AT, FOREVER, Reason.CONSENT_EXPIRED)]},
        restrictions=(),
        bases=(),
    )
    encoded = record.encode(timeline, numbers, version=1, publication=1, made_at=MADE_AT)
    assert encoded[0] == record.WIDE.format
    assert record.decode(encoded, numbers).timeline.segments == timeline.segments
    assert (
        record.decode(encoded, numbers, numbers.selection((scope,))).timeline.segments
        == timeline.segments
    )


def test_instants_between_seconds_are_kept() -> None:
    """Whole seconds take half the room, but nothing is rounded to them."""
    segments = {SCOPES[0]: [Segment(MADE_AT + 1, MADE_AT + 2, Reason.CONSENT_EXPIRED)]}
    timeline = PermissionTimeline(is_known=True, segments=segments, restrictions=(), bases=())
    assert record.decode(encode(timeline), NUMBERS).timeline.segments == segments


def test_a_customer_of_three_products_and_twelve_scopes_fits_320_bytes() -> None:
    """With its key and what Redis keeps beside it, that is below 450 bytes in memory."""
    held = [
        Basis(
            str(uuid.UUID(int=index + 2**127)),
            "numbered-1",
            3,
            Product("numbered-1", "numbered-2", "", f"{index:020}"),
            MADE_AT + index * HOUR,
            MADE_AT + (index + 10) * HOUR,
            "numbered-2",
        )
        for index in range(3)
    ]
    courses = [
        [
            Segment(basis.obtained_at, basis.ends_at, Reason.ALLOWED, index),
            Segment(basis.ends_at, FOREVER, Reason.CONSENT_EXPIRED),
        ]
        for index, basis in enumerate(held)
    ]
    timeline = PermissionTimeline(
        is_known=True,
        segments={scope: courses[index % 3] for index, scope in enumerate(SCOPES[:12])},
        restrictions=(),
        bases=held,
    )
    # A string of Redis has a header of three bytes and a zero at its end.
    assert len(encode(timeline)) <= 320 - 4


@given(st.sampled_from(SCOPES), selectors)
def test_a_pattern_matches_a_scope_just_as_its_selector_does(
    scope: Scope, selector: Selector
) -> None:
    """Packed restrictions select what the written ones do."""
    matching = patterns_matching(NUMBERS.scope_number(scope))
    assert (NUMBERS.pattern_number(selector) in matching) == selector.matches_scope(scope)


purpose_numbers = st.integers(1, 2**12 - 1)
other_numbers = st.integers(0, 2**16 - 1)


@given(
    st.builds(
        lambda kind, purpose, channel: kind << 60 | purpose << 48 | channel << 32,
        st.sampled_from([1, 3]),
        purpose_numbers,
        other_numbers,
    )
    | st.builds(
        lambda purpose, partner, dataset: 2 << 60 | purpose << 48 | partner << 16 | dataset,
        purpose_numbers,
        other_numbers,
        other_numbers,
    )
)
def test_a_narrow_scope_number_is_the_same_scope_or_too_large(number: int) -> None:
    """Packing into 32 bits never makes one scope of two."""
    narrow = narrow_scope_number(number)
    assert narrow >= 2**32 or wide_scope_number(narrow) == number


@given(st.sampled_from(SCOPES))
def test_a_scope_survives_its_number(scope: Scope) -> None:
    """Packing loses nothing."""
    assert NUMBERS.scope(NUMBERS.scope_number(scope)) == scope
