"""One consent type from one catalog to the next: which of its grants stay as they were.

What lives here: rules 1 to 3 of `semantics.md` and `terms: latest`, read for what a change of the
catalog may do to grants whose events are not at hand. What the matrix changes comes in as
intervals; restrictions and whole answers are the business of `catalog_step`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from decision.catalog import Catalog, Effect, Interval, Wording
from decision.catalog_differences import meaning_of_term
from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER, Instant
from decision.scopes import Scope
from decision.terms import UNTIL_PRODUCT_CLOSED, end_of_term

_EVER: Final = Interval(BEGINNING, FOREVER)


class GrantsChange(NamedTuple):
    """What may become of the grants of one scope.

    Grants obtained before `first_at`, and what had ended them by then, are the same under both
    catalogs; FOREVER if all are. `may_give` says that there may be grants, also empty ones, from
    events that gave none for the scope before.
    """

    first_at: Instant
    may_give: bool


class _Stretch(NamedTuple):
    """A time during which one wording was in force in each catalog, or none."""

    during: Interval
    old: Wording | None
    new: Wording | None


class TypeStep:
    """A consent type under two catalogs, the second published after the first.

    No event at hand names a code or a wording that the old catalog does not know, and none that the
    new one does not know either: what is recorded or published stays (`semantics.md`, Publication).
    """

    def __init__(
        self,
        old: Catalog,
        new: Catalog,
        consent_type: str,
        signed_anew: Sequence[Interval],
        signed_no_more: Sequence[Interval],
    ) -> None:
        """Compare one type; the intervals tell when purchases may give it anew, or no more."""
        self._old = old
        self._new = new
        self._type = consent_type
        self._signed_anew = signed_anew
        self._signed_no_more = signed_no_more
        self._is_known_before = consent_type in old.consent_types
        self._effects = _Effects(old, new, consent_type)
        self._was_latest = _latest_counts(old, consent_type)
        self._is_latest = _latest_counts(new, consent_type)
        self._old_scopes = _scopes_by_version(old, consent_type)
        self._new_scopes = _scopes_by_version(new, consent_type)
        self._stretches = [*_stretches(old, new, consent_type)]
        # A grant of any scopes counts as a later one, an empty one too. Without events that could
        # name the type before, only the matrix gives it.
        self._obtained_anew = [*signed_anew]
        self._obtained_no_more = [*signed_no_more]
        if self._is_known_before:
            self._obtained_anew += (one.during for one in self._stretches if one.old is None)
            self._obtained_no_more += (one.during for one in self._stretches if one.new is None)
        if self._effects.give_anew:
            self._obtained_anew = [_EVER]
        if self._effects.give_no_more:
            self._obtained_no_more = [_EVER]

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes that some wording of the type grants, before or after."""
        return frozenset[Scope]().union(*self._old_scopes.values(), *self._new_scopes.values())

    def change_of(self, scope: Scope) -> GrantsChange:
        """Tell what may become of this type's grants of a scope."""
        starts = [FOREVER]
        may_give = False
        if self._effects.differ or (self._is_known_before and self._was_latest != self._is_latest):
            starts.append(BEGINNING)
            may_give = self._effects.give_anew
        elif self._is_latest:
            starts += (when.start for when in self._obtained_anew)
            starts += (when.start for when in self._obtained_no_more)
        for version, old_scopes in self._old_scopes.items():
            # Explicit consents name a version whenever they were given.
            is_given = scope in self._new_scopes.get(version, ())
            if (scope in old_scopes) != is_given or (is_given and self._changes_term(version)):
                starts.append(BEGINNING)
                may_give = may_give or scope not in old_scopes
        for stretch in self._stretches:
            before, after = self._in_force(stretch, scope)
            if self._is_known_before and before != after:
                starts.append(stretch.during.start)
                may_give = may_give or before is None
            if after is not None:
                anew = [*_starts_in(self._signed_anew, stretch.during)]
                starts += anew
                may_give = may_give or bool(anew)
            if before is not None:
                starts += _starts_in(self._signed_no_more, stretch.during)
        return GrantsChange(min(starts), may_give)

    def _in_force(self, stretch: _Stretch, scope: Scope) -> tuple[int | None, int | None]:
        """Give the versions in force before and after, as far as they grant the scope."""
        return (
            _version_granting(stretch.old, self._old_scopes, scope),
            _version_granting(stretch.new, self._new_scopes, scope),
        )

    def _changes_term(self, version: int) -> bool:
        old, new = self._old.wording(self._type, version), self._new.wording(self._type, version)
        return (
            old is None
            or new is None
            or meaning_of_term(self._old, old.term) != meaning_of_term(self._new, new.term)
        )

    def keeps_grant(self, scope: Scope, basis: Basis) -> bool:
        """Tell whether a grant that held of a scope surely holds as long under the new catalog.

        That is: it has the same wording and the same end of the scope. Whether a purchase still
        signs the type is not looked at.
        """
        return (
            scope in self._new_scopes.get(basis.wording_version, ())
            and self._keeps_wording(basis)
            and (bool(basis.matrix_row_id) or not self._effects.grant_no_more)
            and self._keeps_term_end(basis)
            and not self._may_end_sooner(basis)
            and not self._may_end_later(basis)
        )

    def _keeps_wording(self, basis: Basis) -> bool:
        before = self._old.wording_in_force(self._type, basis.obtained_at)
        after = self._new.wording_in_force(self._type, basis.obtained_at)
        if after is not None and after.version == basis.wording_version:
            return True
        # One that was not in force was named by the consent itself, and dates do not matter.
        return before is None or before.version != basis.wording_version

    def _keeps_term_end(self, basis: Basis) -> bool:
        """Tell whether the term ends the grant when it did, or does not end it before or after."""
        if not self._changes_term(basis.wording_version):
            return True
        old = self._old.wording(self._type, basis.wording_version)
        new = self._new.wording(self._type, basis.wording_version)
        if old is None or new is None or UNTIL_PRODUCT_CLOSED in (old.term, new.term):
            return False
        old_end = end_of_term(basis.obtained_at, old.term, self._old.zone)
        new_end = end_of_term(basis.obtained_at, new.term, self._new.zone)
        return old_end == new_end or min(old_end, new_end) > basis.ends_at

    def _may_end_sooner(self, basis: Basis) -> bool:
        if self._effects.refuse_anew or (self._is_latest and not self._was_latest):
            return True
        held = Interval(basis.obtained_at + 1, basis.ends_at)
        return self._is_latest and any(_meet(held, when) for when in self._obtained_anew)

    def _may_end_later(self, basis: Basis) -> bool:
        """Tell whether what ended it may be gone. Nothing ends a grant at FOREVER."""
        if basis.ends_at == FOREVER:
            return False
        if self._effects.refuse_no_more or (self._was_latest and not self._is_latest):
            return True
        return self._is_latest and any(
            when.holds_at(basis.ends_at) for when in self._obtained_no_more
        )


class _Effects:
    """What the values that both catalogs know do, before and after."""

    def __init__(self, old: Catalog, new: Catalog, consent_type: str) -> None:
        before, after = _effects(old, consent_type), _effects(new, consent_type)
        pairs = {(before[value], after[value]) for value in before.keys() & after.keys()}
        changed = {(was, becomes) for was, becomes in pairs if was is not becomes}
        self.differ = bool(changed)
        self.give_anew = any(was is Effect.NOTES for was, _ in changed)
        self.give_no_more = any(becomes is Effect.NOTES for _, becomes in changed)
        self.grant_no_more = any(was is Effect.GRANTS for was, _ in changed)
        self.refuse_anew = any(becomes is Effect.REFUSES for _, becomes in changed)
        self.refuse_no_more = any(was is Effect.REFUSES for was, _ in changed)


def _effects(catalog: Catalog, code: str) -> Mapping[str, Effect]:
    consent_type = catalog.consent_types.get(code)
    if consent_type is None:
        return {}
    return {value.code: value.effect for value in consent_type.values.values()}


def _latest_counts(catalog: Catalog, code: str) -> bool:
    consent_type = catalog.consent_types.get(code)
    return consent_type is not None and consent_type.latest_counts


def _scopes_by_version(catalog: Catalog, consent_type: str) -> Mapping[int, frozenset[Scope]]:
    return {
        wording.version: frozenset(wording.scopes) for wording in catalog.wordings_of(consent_type)
    }


def _version_granting(
    wording: Wording | None, scopes: Mapping[int, frozenset[Scope]], scope: Scope
) -> int | None:
    if wording is None or scope not in scopes[wording.version]:
        return None
    return wording.version


def _stretches(old: Catalog, new: Catalog, consent_type: str) -> Iterator[_Stretch]:
    """Cut time where a wording comes into force or goes out of it; leave out where none is."""
    instants = {
        instant
        for catalog in (old, new)
        for wording in catalog.wordings_of(consent_type)
        for instant in wording.in_force
    }
    for start, end in pairwise(sorted(instants)):
        stretch = _Stretch(
            Interval(start, end),
            old.wording_in_force(consent_type, start),
            new.wording_in_force(consent_type, start),
        )
        if stretch.old is not None or stretch.new is not None:
            yield stretch


def _meet(one: Interval, other: Interval) -> bool:
    return max(one.start, other.start) < min(one.end, other.end)


def _starts_in(intervals: Sequence[Interval], during: Interval) -> Iterator[Instant]:
    return (max(interval.start, during.start) for interval in intervals if _meet(interval, during))
