"""Which answers worked out under one catalog still hold right after another was published.

What lives here: the judgement on a permission timeline whose events are not at hand, for the time
until a roll-out has folded everybody anew (`design.md`, "No stale ALLOW", step 4). What a change
does to the grants of one consent type is in `type_step`; nothing here folds.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from decision.answer import Answer, answer_scope
from decision.catalog import Catalog
from decision.catalog_differences import CatalogDifferences, types_signed_anew
from decision.grants import Basis
from decision.instants import FOREVER, Instant
from decision.matrix import Matrix
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope
from decision.selectors import Selector
from decision.timeline import PermissionTimeline
from decision.type_step import GrantsChange, TypeStep


class _ScopeStep(NamedTuple):
    """What a new catalog may do to the answers for one scope.

    `grants` is None where no grant of the scope can change. Rules that restrict the scope have come
    if it `may_be_restricted`; those that have gone had one of `selectors_gone`.
    """

    grants: GrantsChange | None
    may_be_restricted: bool
    selectors_gone: frozenset[Selector]


_NOTHING_CHANGES: Final = _ScopeStep(None, may_be_restricted=False, selectors_gone=frozenset())


class CatalogStep:
    """Two catalogs, and which answers of the old one the new one leaves as they are.

    An answer here is that of a timeline folded under the old catalog with the suspensions of the
    new. If it is kept, then folding the same events under the new catalog gives

    - for a DENY the same reason;
    - for an ALLOW an ALLOW with a `not_after` no earlier, and the grant that was its basis still
      has its wording and its end; another grant may be the basis.

    Why this is so, in the order of `semantics.md`, "The answer for a scope at instant t":

    1. Whether the customer is known has nothing to do with a catalog.
    2. Restrictions differ only where acquisition rules or their terms do. A restriction with the
       selector of no rule that is gone stays. A rule that has come may restrict anybody: then only
       who is restricted anyhow keeps an answer.
    3. The suspension is that of the new catalog already.
    4. An ALLOW stays if grants that surely hold as before cover all of it up to `not_after`. What
       ends a grant is its term, a refusal, a revocation, a closing or a later grant: closings and
       revocations are no matter of catalogs, the rest is compared by `TypeStep`. A purchase must
       still sign the type: it does if no row that came or went matches its product.
    5. Without grants, also empty ones, for the scope there are none later on unless some event may
       give one anew. After grants the reason stays if no grant obtained by then may differ.

    A scope that no difference reaches keeps every answer. The timeline may leave out other scopes,
    and what had ended before the instant asked about.
    """

    def __init__(self, old: Catalog, new: Catalog) -> None:
        """Compare `old` with `new`, which was published later, once for many customers."""
        differences = CatalogDifferences(old, new)
        self._new = new
        self._changed_rows = Matrix(differences.rows)
        # Nobody was recorded as coming through a partner that the old catalog does not know.
        self._selectors_come = [
            rule.selector for rule in differences.rules_added if rule.partner in old.partners
        ]
        self._selectors_gone = [rule.selector for rule in differences.rules_removed]
        self._types = _type_steps(old, new, differences)
        self._types_by_scope: dict[Scope, list[TypeStep]] = defaultdict(list)
        for step in self._types.values():
            for scope in step.scopes:
                self._types_by_scope[scope].append(step)
        self._scopes: dict[Scope, _ScopeStep] = {}

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs that a fold looks at: every answer is kept."""
        return not (self._types or self._selectors_come or self._selectors_gone)

    def keeps(self, timeline: PermissionTimeline, scope: Scope, at: Instant) -> bool:
        """Tell whether a timeline folded under the old catalog may answer for a scope at `at`.

        The answer is to be worked out with the new catalog's suspension, at the same instant.
        """
        step = self._step(scope)
        if step is _NOTHING_CHANGES:
            return True
        answer = answer_scope(timeline, self._new.suspension_of(scope), scope, at)
        reason = answer.reason
        if reason is Reason.UNKNOWN_CUSTOMER:
            return True
        if reason is Reason.RESTRICTED:
            return _stays_restricted(step, timeline, scope, at)
        if step.may_be_restricted:
            return False
        return (
            step.grants is None
            or reason is Reason.PARTNER_SUSPENDED
            or self._keeps_of_grants(step.grants, answer, timeline, scope, at)
        )

    def leaves(self, scope: Scope) -> bool:
        """Tell whether no difference reaches a scope: then every timeline may answer for it."""
        return self._step(scope) is _NOTHING_CHANGES

    def _step(self, scope: Scope) -> _ScopeStep:
        step = self._scopes.get(scope)
        if step is None:
            step = self._scopes[scope] = self._compare(scope)
        return step

    def _keeps_of_grants(
        self,
        change: GrantsChange,
        answer: Answer,
        timeline: PermissionTimeline,
        scope: Scope,
        at: Instant,
    ) -> bool:
        """Tell whether an answer that grants gave, or that there are none, is kept."""
        if answer.is_allowed:
            return self._stays_allowed(answer, timeline, scope, at)
        if not timeline.segments.get(scope):
            return not change.may_give
        return answer.reason in STRENGTH_BY_CAUSE and at < change.first_at

    def _compare(self, scope: Scope) -> _ScopeStep:
        changes = [step.change_of(scope) for step in self._types_by_scope.get(scope, ())]
        first_at = min((change.first_at for change in changes), default=FOREVER)
        grants = GrantsChange(first_at, any(change.may_give for change in changes))
        step = _ScopeStep(
            grants if first_at != FOREVER else None,
            any(selector.matches_scope(scope) for selector in self._selectors_come),
            frozenset(
                selector for selector in self._selectors_gone if selector.matches_scope(scope)
            ),
        )
        return _NOTHING_CHANGES if step == _NOTHING_CHANGES else step

    def _stays_allowed(
        self, answer: Answer, timeline: PermissionTimeline, scope: Scope, at: Instant
    ) -> bool:
        """Tell whether grants that surely stay cover the time from `at` to the answer's end.

        The answer's basis is the first of them. The basis of a segment holds at least to the
        segment's end, so one that holds longer stands in for the segments after it.
        """
        covered_to = at
        for segment in timeline.segments[scope]:
            if covered_to >= answer.not_after:
                break
            if segment.end <= covered_to:
                continue
            basis = timeline.bases[segment.basis]
            if not self._keeps_grant(scope, basis):
                return False
            covered_to = basis.ends_at
        return True

    def _keeps_grant(self, scope: Scope, basis: Basis) -> bool:
        step = self._types.get(basis.consent_type)
        return step is None or (self._still_signs(basis) and step.keeps_grant(scope, basis))

    def _still_signs(self, basis: Basis) -> bool:
        """Tell whether the purchase that gave a grant, if one did, still signs the consent type."""
        product, at = basis.product, basis.obtained_at
        if not basis.matrix_row_id or product is None:
            return True
        if self._changed_rows.match(product, at) is None:
            return True
        row = self._new.matrix.match(product, at)
        return row is not None and basis.consent_type in row.consent_types


def _type_steps(
    old: Catalog, new: Catalog, differences: CatalogDifferences
) -> Mapping[str, TypeStep]:
    """Give a step for each consent type whose meaning differs or that other purchases sign."""
    removed, added = differences.rows_removed, differences.rows_added
    signed_anew = types_signed_anew(old.matrix_rows, new.matrix_rows, removed, added)
    signed_no_more = types_signed_anew(new.matrix_rows, old.matrix_rows, added, removed)
    return {
        code: TypeStep(old, new, code, signed_anew.get(code, ()), signed_no_more.get(code, ()))
        for code in {*differences.types, *signed_anew, *signed_no_more}
    }


def _stays_restricted(
    step: _ScopeStep, timeline: PermissionTimeline, scope: Scope, at: Instant
) -> bool:
    """Tell whether one of the restrictions that hold surely stays."""
    return any(
        restriction.start <= at < restriction.end
        and restriction.selector.matches_scope(scope)
        and restriction.selector not in step.selectors_gone
        for restriction in timeline.restrictions
    )
