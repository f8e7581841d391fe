"""Judging thousands of cached records at once, with numpy and without Python work for each.

What lives here: what `record.reading` and `decision.answer` do for one record, done for many of the
narrow format. A property test compares the two. Which records may count is `bulk_reading`'s
business; records of any other format or shape are left out here, for the careful way to deal with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decision.catalog import Interval
from decision.instants import BEGINNING, FOREVER, Instant
from decision.reasons import Reason
from decision.scopes import Scope
from store.code_numbers import PART_MASKS, CodeNumbers, narrow_scope_number
from store.record.bases import HAS_PRODUCT
from store.record.layout import (
    ALIGNMENT_BYTES,
    FLAG_KNOWN,
    FLAG_WHOLE_SECONDS,
    HEADER,
    INSTANTS_IMPLIED,
    LAST_SPAN,
    MICROSECONDS_PER_SECOND,
    NARROW,
    PATTERN_BYTES,
)

Numbers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

NO_BASIS_INDEX: Final = NARROW.no_basis_index

_WORD: Final = np.dtype("<u4")
_FIXED_BYTES: Final = HEADER.size + NARROW.counts.size
_EPOCH_WORD: Final = 1
_INCARNATION_WORD: Final = 2
_VERSION_WORD: Final = 3
_PUBLICATION_WORD: Final = 5
_COUNTS_WORD: Final = 6
_LENGTH_WORD: Final = 7
_REASON_SHIFT: Final = 24
_BASIS_SHIFT: Final = 16
_LAST_SPAN: Final = LAST_SPAN << _REASON_SHIFT
_REASON_MASK: Final = LAST_SPAN - 1

_IS_REASON: Final = np.isin(np.arange(LAST_SPAN), [reason.value for reason in Reason])
"""For each number that may stand in the place of a reason whether it is one."""

_TAIL: Final = bytes(ALIGNMENT_BYTES)
"""Behind the last record, so that looking one word too far reads something."""

_MISSING: Final = b""


@dataclass(frozen=True, slots=True)
class AskedScopes:
    """Scopes that are asked about, as arrays that go by a scope's place.

    A scope without suspension has one that is over before it begins.
    """

    narrow: Numbers
    wide: NDArray[np.uint64]
    suspended_from: Numbers
    suspended_to: Numbers


def asked_scopes(
    scopes: Sequence[Scope], suspensions: Sequence[Interval | None], numbers: CodeNumbers
) -> AskedScopes:
    """Number scopes and lay them out, beside the suspension of each."""
    wide = [numbers.scope_number(scope) for scope in scopes]
    return AskedScopes(
        np.array([narrow_scope_number(number) for number in wide], np.int64),
        np.array(wide, np.uint64),
        np.array([one.start if one else FOREVER for one in suspensions], np.int64),
        np.array([one.end if one else BEGINNING for one in suspensions], np.int64),
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by place. Of a place that `is_damaged` nothing is known.

    `bases` and `not_after` are of meaning only where the reason is ALLOWED, and `not_after` only if
    it was asked for.
    """

    reasons: NDArray[np.uint8]
    bases: NDArray[np.uint8]
    not_after: Numbers
    is_damaged: Flags


class BasisLines(NamedTuple):
    """What numpy finds of bases: the place of each among those asked for, and its numbers.

    Of a grant: whether there is a product, consent type, wording version, system code and product
    type. Of texts: the flags, and where in `Records.laid_out` event id, series and number begin and
    end.
    """

    left: Numbers
    obtained_at: Numbers
    ends_at: Numbers
    grants: Sequence[tuple[int, ...]]
    texts: Sequence[tuple[int, ...]]


class Records:
    """Records laid end to end. What `is_missing` or not of the narrow format is not `readable`.

    `readable`, `is_known`, `epochs`, `incarnations`, `versions` and `publications` go by a record's
    place; of what is not readable they mean nothing.
    """

    def __init__(self, records: Sequence[bytes | None]) -> None:
        """Lay out records; None is a missing one."""
        self.is_missing: Flags = np.zeros(len(records), np.bool_)
        present: Sequence[bytes] = records  # type: ignore[assignment]  # unless there is a None
        if None in records:
            self.is_missing = np.array([one is None for one in records], np.bool_)
            present = [_MISSING if one is None else one for one in records]
        lengths = np.fromiter(map(len, present), np.int64, len(present))
        fits = (lengths >= _FIXED_BYTES) & (lengths % ALIGNMENT_BYTES == 0)
        if not fits.all():
            present = [one if fit else _MISSING for one, fit in zip(present, fits, strict=True)]
            lengths = np.where(fits, lengths, 0)
        self.laid_out = b"".join((*present, bytes(_FIXED_BYTES), _TAIL))
        self._bytes: NDArray[np.uint8] = np.frombuffer(self.laid_out, np.uint8)
        self._words = np.frombuffer(self.laid_out, _WORD)
        ends = np.cumsum(lengths)
        words = (ends - lengths) // ALIGNMENT_BYTES
        self._read_header(words)
        self._find_parts(words, lengths, fits)

    def _read_header(self, words: Numbers) -> None:
        first = self._words[words]
        self._format = first & 0xFF
        flags = first >> 8
        self.is_known: Flags = (flags & FLAG_KNOWN) != 0
        self._is_of_seconds: Flags = (flags & FLAG_WHOLE_SECONDS) != 0
        self.epochs = self._words[words + _EPOCH_WORD]
        self.incarnations = self._words[words + _INCARNATION_WORD]
        self.publications = self._words[words + _PUBLICATION_WORD]
        low, high = (self._words[words + _VERSION_WORD + part].astype(np.uint64) for part in (0, 1))
        self.versions: NDArray[np.uint64] = low | high << np.uint64(32)

    def _find_parts(self, words: Numbers, lengths: Numbers, fits: Flags) -> None:
        counts = self._words[words + _COUNTS_WORD].astype(np.int64)
        bases_and_fours = self._words[words + _LENGTH_WORD].astype(np.int64)
        instants, self._cells = counts & 0xFF, counts >> 8 & 0xFF
        self._spans, self._patterns = counts >> 16 & 0xFF, counts >> 24
        bases, fours = bases_and_fours & 0xFF, bases_and_fours >> 16
        # In words up to the patterns, in bytes from there on.
        self._indexes_end = instants + INSTANTS_IMPLIED
        self._instants_at = words + _FIXED_BYTES // ALIGNMENT_BYTES
        self._scopes_at = self._instants_at + np.where(self._is_of_seconds, instants, 2 * instants)
        self._spans_at = self._scopes_at + self._cells
        self._patterns_at = self._spans_at + self._spans
        self._bounds_at = ALIGNMENT_BYTES * self._patterns_at + PATTERN_BYTES * self._patterns
        self._courses_at = self._bounds_at + NARROW.bounds.size * self._patterns
        self._bases_at = self._courses_at + self._cells
        self._base_counts = bases
        self._occasions_at = self._bases_at + NARROW.basis.size * bases
        self._begins = ALIGNMENT_BYTES * words
        self._ends = self._begins + lengths
        self.readable: Flags = (
            fits
            & (self._format == NARROW.format)
            & (fours * ALIGNMENT_BYTES == lengths)
            & (self._occasions_at <= self._ends)
        )
        self._has_microseconds = not self._is_of_seconds[self.readable].all()

    def judge(
        self,
        places: Numbers,
        asked: AskedScopes,
        scopes: Numbers,
        at: Instant,
        *,
        with_not_after: bool = False,
    ) -> Answers:
        """Answer for the records at `places`, each about the asked scope of the same index.

        The records MUST be readable. `scopes` counts in `asked`.
        """
        count = len(places)
        reasons = np.full(count, Reason.NO_CONSENT, np.uint8)
        answers = Answers(
            reasons,
            np.full(count, NO_BASIS_INDEX, np.uint8),
            np.full(count, FOREVER, np.int64),
            np.zeros(count, np.bool_),
        )
        self._judge_grants(places, asked.narrow[scopes], at, answers, with_not_after=with_not_after)
        suspended_from, suspended_to = asked.suspended_from[scopes], asked.suspended_to[scopes]
        is_ahead = at < suspended_to
        reasons[is_ahead & (suspended_from <= at)] = Reason.PARTNER_SUSPENDED
        if with_not_after:
            later = np.where(is_ahead, suspended_from, FOREVER)
            np.minimum(answers.not_after, later, out=answers.not_after)
        self._judge_restrictions(places, asked.wide[scopes], at, answers)
        reasons[~self.is_known[places]] = Reason.UNKNOWN_CUSTOMER
        return answers

    def bases(self, rows: Numbers, indexes: Numbers) -> BasisLines:
        """Find what is known of a basis of each of some records; what is damaged is left out."""
        left = np.flatnonzero(indexes < self._base_counts[rows])
        rows, at = rows[left], (self._bases_at[rows] + NARROW.basis.size * indexes)[left]
        ends = self._bytes[at + 2].astype(np.int64)
        consent_types, versions = self._pairs(at + 3), self._pairs(at + 5)
        at = self._occasions_at[rows] + self._pairs(at)
        fits = at + NARROW.occasion.size + NARROW.product.size <= self._ends[rows]
        # The shortest of all, without a product, may end before; such a one is read alone.
        left, rows, at, ends = left[fits], rows[fits], at[fits], ends[fits]
        flags = self._bytes[at].astype(np.int64)
        obtained, obtained_is_whole = self._instants_at_indexes(
            rows, self._bytes[at + 1].astype(np.int64)
        )
        end_instants, ends_are_whole = self._instants_at_indexes(rows, ends)
        product_at = at + NARROW.occasion.size
        has_product = flags & HAS_PRODUCT
        event_at = product_at + NARROW.product.size * has_product
        series_at = event_at + self._bytes[at + 4]
        number_at = series_at + self._bytes[product_at + 4] * has_product
        texts_end = number_at + self._bytes[product_at + 5] * has_product
        is_whole = obtained_is_whole & ends_are_whole & (texts_end <= self._ends[rows])
        codes = (self._pairs(product_at + part) * has_product for part in (0, 2))
        grants = (has_product, consent_types[fits], versions[fits], *codes)
        texts = (flags, event_at, series_at, number_at, texts_end)
        return BasisLines(
            left[is_whole],
            obtained[is_whole],
            end_instants[is_whole],
            _lines(column[is_whole] for column in grants),
            _lines(column[is_whole] for column in texts),
        )

    def plain(self, place: int) -> bytes:
        """Give a record as it was laid out."""
        return self.laid_out[self._begins[place] : self._ends[place]]

    def _pairs(self, at: Numbers) -> Numbers:
        """Give the numbers of two bytes that lie at some bytes."""
        low, high = self._bytes[at], self._bytes[at + 1]
        return low.astype(np.int64) | high.astype(np.int64) << 8

    def _judge_grants(
        self,
        places: Numbers,
        scopes: Numbers,
        at: Instant,
        answers: Answers,
        *,
        with_not_after: bool,
    ) -> None:
        cells = self._find_cells(places, scopes)
        left = np.flatnonzero(cells >= 0)
        rows = places[left]
        spans = self._bytes[self._courses_at[rows] + cells[left]].astype(np.int64)
        # Each round looks at one span of those that have not met theirs, mostly all in the first.
        while len(left):
            is_whole = spans < self._spans[rows]
            if not is_whole.all():
                answers.is_damaged[left[~is_whole]] = True
                left, rows, spans = left[is_whole], rows[is_whole], spans[is_whole]
            words = self._words[self._spans_at[rows] + spans]
            start, end = self._bounds_of(rows, words, left, answers)
            holds = (start <= at) & (at < end)
            met = left[holds]
            found = _reasons_of(words[holds])
            answers.reasons[met] = found
            answers.is_damaged[met[~_IS_REASON[found]]] = True
            answers.bases[met] = words[holds] >> _BASIS_SHIFT & 0xFF
            if with_not_after:
                answers.not_after[met] = end[holds]
                self._follow_union(met, rows[holds], spans[holds], words[holds], answers)
            goes_on = ~holds & (start <= at) & ((words & _LAST_SPAN) == 0)
            left, rows, spans = left[goes_on], rows[goes_on], spans[goes_on] + 1

    def _follow_union(
        self,
        left: Numbers,
        rows: Numbers,
        spans: Numbers,
        words: NDArray[np.uint32],
        answers: Answers,
    ) -> None:
        """Let an ALLOW hold on to the end of the spans after it that allow as well."""
        while True:
            goes_on = (_reasons_of(words) == Reason.ALLOWED) & ((words & _LAST_SPAN) == 0)
            left, rows, spans = left[goes_on], rows[goes_on], spans[goes_on] + 1
            is_whole = spans < self._spans[rows]
            answers.is_damaged[left[~is_whole]] = True
            left, rows, spans = left[is_whole], rows[is_whole], spans[is_whole]
            if not len(left):
                return
            words = self._words[self._spans_at[rows] + spans]
            _, end = self._bounds_of(rows, words, left, answers)
            allows = _reasons_of(words) == Reason.ALLOWED
            answers.not_after[left[allows]] = end[allows]

    def _find_cells(self, places: Numbers, scopes: Numbers) -> Numbers:
        """Give the cell of each scope by binary search in all records at once, -1 for none."""
        scopes_at, cells = self._scopes_at[places], self._cells[places]
        low = np.zeros(len(places), np.int64)
        high = cells
        for _ in range(int(cells.max(initial=0)).bit_length()):
            middle = low + high >> 1
            is_below = (self._words[scopes_at + middle] < scopes) & (low < high)
            low = np.where(is_below, middle + 1, low)
            high = np.where(is_below, high, middle)
        is_found = (low < cells) & (self._words[scopes_at + low] == scopes)
        return np.where(is_found, low, -1)

    def _judge_restrictions(
        self, places: Numbers, scopes: NDArray[np.uint64], at: Instant, answers: Answers
    ) -> None:
        restricted = np.flatnonzero(self._patterns[places])
        if not len(restricted):
            return
        counts = self._patterns[places[restricted]]
        # One line for each restriction of each record, with the index of its answer.
        line = np.repeat(restricted, counts)
        within = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = places[line]
        low, high = (
            self._words[self._patterns_at[rows] + 2 * within + part].astype(np.uint64)
            for part in (0, 1)
        )
        matches = _matches(low | high << np.uint64(32), scopes[line])
        line, rows, within = line[matches], rows[matches], within[matches]
        bounds_at = self._bounds_at[rows] + NARROW.bounds.size * within
        start = self._instants(rows, self._bytes[bounds_at].astype(np.int64), line, answers)
        end = self._instants(rows, self._bytes[bounds_at + 1].astype(np.int64), line, answers)
        begun = start <= at
        answers.reasons[line[begun & (at < end)]] = Reason.RESTRICTED
        np.minimum.at(answers.not_after, line[~begun], start[~begun])

    def _bounds_of(
        self, rows: Numbers, words: NDArray[np.uint32], left: Numbers, answers: Answers
    ) -> tuple[Numbers, Numbers]:
        start = self._instants(rows, (words & 0xFF).astype(np.int64), left, answers)
        end = self._instants(rows, (words >> 8 & 0xFF).astype(np.int64), left, answers)
        return start, end

    def _instants(
        self, rows: Numbers, indexes: Numbers, left: Numbers, answers: Answers
    ) -> Numbers:
        """Give the instants of an index each; one beyond the last means damage."""
        instants, is_whole = self._instants_at_indexes(rows, indexes)
        if not is_whole.all():
            answers.is_damaged[left[~is_whole]] = True
        return instants

    def _instants_at_indexes(self, rows: Numbers, indexes: Numbers) -> tuple[Numbers, Flags]:
        """Give the instants of an index each, and which of the indexes there are."""
        is_whole = indexes < self._indexes_end[rows]
        if not is_whole.all():
            indexes = np.where(is_whole, indexes, 0)
        kept = np.maximum(indexes - INSTANTS_IMPLIED, 0)
        at = self._instants_at[rows]
        instants = self._words[at + kept].astype(np.int64) * MICROSECONDS_PER_SECOND
        if self._has_microseconds:
            is_of_seconds = self._is_of_seconds[rows]
            # An index of seconds, read as one of exact instants, may lie beyond everything.
            at += 2 * np.where(is_of_seconds, 0, kept)
            low, high = (self._words[at + part].astype(np.uint64) for part in (0, 1))
            exact = (low | high << np.uint64(32)).view(np.int64)
            instants = np.where(is_of_seconds, instants, exact)
        instants[indexes == 0] = BEGINNING
        instants[indexes == 1] = FOREVER
        return instants, is_whole


def _lines(columns: Iterable[Numbers]) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _reasons_of(words: NDArray[np.uint32]) -> NDArray[Any]:
    return words >> _REASON_SHIFT & _REASON_MASK


def _matches(patterns: NDArray[np.uint64], scopes: NDArray[np.uint64]) -> Flags:
    """Tell whether each pattern matches its scope: every part that it names is the scope's."""
    matches = np.ones(len(patterns), np.bool_)
    for mask in PART_MASKS:
        part = patterns & np.uint64(mask)
        matches &= (part == 0) | (part == scopes & np.uint64(mask))
    return matches
