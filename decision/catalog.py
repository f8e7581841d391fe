"""The catalog as a value: codes, consent types, wordings, matrix, acquisition rules.

What lives here: the parsed, faultless catalog and look-ups in it. Reading and faulting a document
is in `catalog_document`, what earlier publications forbid in `catalog_history`, the choice of a
matrix row in `matrix`.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from decision.instants import BEGINNING, Instant
from decision.matrix import Matrix, MatrixRow
from decision.products import Product
from decision.scopes import Scope
from decision.selectors import Selector
from decision.terms import Term

LocalisedText: TypeAlias = tuple[tuple[str, str], ...]
"""A text by language, sorted by language; the language of a plain string is empty."""


class Interval(NamedTuple):
    """A half-open interval `[start, end)`."""

    start: Instant
    end: Instant

    def holds_at(self, at: Instant) -> bool:
        """Tell whether `at` lies inside."""
        return self.start <= at < self.end


class Effect(Enum):
    """What a value of a consent type does."""

    GRANTS = "grants"
    REFUSES = "refuses"
    NOTES = "notes"


@dataclass(frozen=True, slots=True)
class Code:
    """A code of one of the catalog's lists. A retired one keeps its meaning."""

    code: str
    name: LocalisedText
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Partner(Code):
    """Another company, and the interval in which sharing with it is suspended, if any."""

    suspension: Interval | None = None


@dataclass(frozen=True, slots=True)
class Value(Code):
    """A value of a consent type, with its effect."""

    effect: Effect = Effect.NOTES


@dataclass(frozen=True, slots=True)
class ConsentType(Code):
    """A consent type, its values by code, and whether only the latest consent of it counts."""

    values: Mapping[str, Value] = None  # type: ignore[assignment]  # always given; follows defaults
    latest_counts: bool = False
    reference_text: LocalisedText = ()


DEFAULT_VALUES: Final[Mapping[str, Value]] = {
    "granted": Value("granted", (("", "granted"),), effect=Effect.GRANTS),
    "refused": Value("refused", (("", "refused"),), effect=Effect.REFUSES),
}
"""The values of a consent type that lists none."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One version of a consent type's text, when it was in force, its term and its scopes."""

    consent_type: str
    version: int
    text: LocalisedText
    in_force: Interval
    term_text: str
    term: Term
    scopes: tuple[Scope, ...]


class Signed(NamedTuple):
    """What whoever buys a product that a matrix row matches signs, as long as no wording changes.

    These are the wordings of the row's consent types, and the types that have none in force.
    """

    row_id: str
    wordings: Sequence[Wording]
    without_wording: tuple[str, ...]


class _Stretches(NamedTuple):
    """What is signed with a row over time, and from when on each."""

    starts: Sequence[Instant]
    signed: Sequence[Signed]


@dataclass(frozen=True, slots=True)
class AcquisitionRule:
    """What is restricted, and for how long, for customers who came through a partner."""

    partner: str
    selector: Selector
    term_text: str
    term: Term


@dataclass(frozen=True, repr=False)
class Catalog:
    """A whole catalog, without faults."""

    zone: ZoneInfo
    purposes: Mapping[str, Code]
    channels: Mapping[str, Code]
    partners: Mapping[str, Partner]
    datasets: Mapping[str, Code]
    consent_types: Mapping[str, ConsentType]
    wordings: Sequence[Wording]
    matrix_rows: Sequence[MatrixRow]
    acquisition_rules: Sequence[AcquisitionRule]

    @cached_property
    def matrix(self) -> Matrix:
        """The product-consent matrix, ready to be matched."""
        return Matrix(self.matrix_rows)

    @cached_property
    def latest_types(self) -> frozenset[str]:
        """The consent types of which only the latest consent counts."""
        return frozenset(code for code, found in self.consent_types.items() if found.latest_counts)

    @cached_property
    def suspensions(self) -> tuple[tuple[str, Interval], ...]:
        """The partners that are suspended at some time, in order, and when they are."""
        return tuple(
            (code, partner.suspension)
            for code, partner in sorted(self.partners.items())
            if partner.suspension is not None
        )

    @cached_property
    def _wordings_by_type(self) -> Mapping[str, list[Wording]]:
        by_type: dict[str, list[Wording]] = {}
        for wording in sorted(self.wordings, key=lambda wording: wording.in_force.start):
            by_type.setdefault(wording.consent_type, []).append(wording)
        return by_type

    @cached_property
    def _wordings_by_version(self) -> Mapping[tuple[str, int], Wording]:
        return {(wording.consent_type, wording.version): wording for wording in self.wordings}

    def wording(self, consent_type: str, version: int) -> Wording | None:
        """Give one wording of a type, whether in force or not."""
        return self._wordings_by_version.get((consent_type, version))

    def wordings_of(self, consent_type: str) -> Sequence[Wording]:
        """Give the wordings of a type in the order in which they came into force."""
        return self._wordings_by_type.get(consent_type, ())

    @cached_property
    def _starts_by_type(self) -> Mapping[str, list[Instant]]:
        return {
            consent_type: [wording.in_force.start for wording in wordings]
            for consent_type, wordings in self._wordings_by_type.items()
        }

    def wording_in_force(self, consent_type: str, at: Instant) -> Wording | None:
        """Give the wording of a type in force at an instant."""
        index = bisect_right(self._starts_by_type.get(consent_type, ()), at)
        if index:
            wording = self._wordings_by_type[consent_type][index - 1]
            # It came into force before.
            if at < wording.in_force.end:
                return wording
        return None

    def signed_with(self, product: Product, at: Instant) -> Signed | None:
        """Give what is signed with a purchase (`semantics.md`, rule 1); None if no row matches."""
        row = self.matrix.match(product, at)
        if row is None:
            return None
        stretches = self._stretches_by_row.get(row.id)
        if stretches is None:
            stretches = self._stretches_by_row[row.id] = self._stretches_of(row)
        return stretches.signed[bisect_right(stretches.starts, at) - 1]

    @cached_property
    def _stretches_by_row(self) -> dict[str, _Stretches]:
        """The stretches of the rows that were asked for."""
        return {}

    def _stretches_of(self, row: MatrixRow) -> _Stretches:
        intervals = [
            wording.in_force
            for consent_type in row.consent_types
            for wording in self.wordings_of(consent_type)
        ]
        starts = sorted({BEGINNING, *(instant for interval in intervals for instant in interval)})
        return _Stretches(starts, [self._signed_at(row, start) for start in starts])

    def _signed_at(self, row: MatrixRow, at: Instant) -> Signed:
        found = [(code, self.wording_in_force(code, at)) for code in row.consent_types]
        return Signed(
            row.id,
            [wording for _, wording in found if wording is not None],
            tuple(code for code, wording in found if wording is None),
        )

    @cached_property
    def _rules_by_partner(self) -> Mapping[str, list[AcquisitionRule]]:
        by_partner: dict[str, list[AcquisitionRule]] = {}
        for rule in self.acquisition_rules:
            by_partner.setdefault(rule.partner, []).append(rule)
        return by_partner

    def acquisition_rules_of(self, partner: str) -> Sequence[AcquisitionRule]:
        """Give the acquisition rules of one partner."""
        return self._rules_by_partner.get(partner, ())

    def suspension_of(self, scope: Scope) -> Interval | None:
        """Give the interval in which the partner of a share is suspended, if there is one."""
        partner = self.partners.get(scope.partner) if scope.partner else None
        return partner.suspension if partner is not None else None


EMPTY_CATALOG: Final = Catalog(ZoneInfo("UTC"), {}, {}, {}, {}, {}, (), (), ())
"""What is known before the first publication."""
