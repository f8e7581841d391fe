"""What is signed with a purchase, and the segments of grants, against the plain rules.

The wordings that are signed with a product are kept by rows and stretches of time; here they are
found by looking at every row and every wording. Grants that succeed each other are walked over
directly; here each instant is judged by itself.
"""

from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision.catalog import Catalog, Wording
from decision.catalog_document import inspect_catalog
from decision.grants import Basis, FoldedTimeline, Grant
from decision.instants import FOREVER, Instant
from decision.matrix import MatrixRow, precedence
from decision.products import Product, normalise
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import contact
from decision.timeline import NO_BASIS, permission_timeline
from tests.property.strategies import catalogs

pytestmark = pytest.mark.property

products = st.builds(
    Product,
    st.sampled_from(["", "ABS", "CARDS"]),
    st.sampled_from(["", "loan", "deposit"]),
    st.sampled_from(["", "KR 01", "кр-01", "X1", "K1", "ху"]),
    st.sampled_from(["", "71", "7-1", "01", "no1", "№ 1"]),
)


@settings(max_examples=150, deadline=None)
@given(document=catalogs(), bought=st.lists(products, min_size=1, max_size=4))
def test_what_is_signed_is_what_every_row_and_wording_says(
    document: dict[str, Any], bought: list[Product]
) -> None:
    """Whichever was asked before: the most specific row in force, and its types' wordings."""
    catalog, faults = inspect_catalog(document)
    assert not faults
    products_known = {
        Product(row.system_code or "", row.product_type or "", "KR01", "71")
        for row in catalog.matrix_rows
    }
    for product in [*bought, *products_known, *bought]:
        for at in instants_of_force(catalog):
            signed = catalog.signed_with(product, at)
            row = min(matching_rows(catalog, product, at), key=precedence, default=None)
            if row is None:
                assert signed is None
                continue
            assert signed is not None
            in_force = [wording_in_force(catalog, code, at) for code in row.consent_types]
            assert signed.row_id == row.id
            assert list(signed.wordings) == [found for found in in_force if found is not None]
            assert list(signed.without_wording) == [
                code
                for code, found in zip(row.consent_types, in_force, strict=True)
                if found is None
            ]


def instants_of_force(catalog: Catalog) -> list[Instant]:
    """The instants at which a row or a wording comes into force or goes out of it, and around."""
    edges = {
        edge
        for start, end in (
            *((row.in_force_from, row.in_force_to) for row in catalog.matrix_rows),
            *(wording.in_force for wording in catalog.wordings),
        )
        for edge in (start, end)
        if edge != FOREVER
    }
    return sorted({edge + off for edge in edges for off in (-1, 0, 1)})


def matching_rows(catalog: Catalog, product: Product, at: Instant) -> list[MatrixRow]:
    """The rows in force whose every given criterion matches."""
    return [
        row
        for row in catalog.matrix_rows
        if row.in_force_from <= at < row.in_force_to
        and row.system_code in (None, product.system_code)
        and row.product_type in (None, product.product_type)
        and (row.series_mask is None or row.series_mask.matches(normalise(product.series)))
        and (row.number_mask is None or row.number_mask.matches(normalise(product.number)))
    ]


def wording_in_force(catalog: Catalog, consent_type: str, at: Instant) -> Wording | None:
    """The wording of a type that is in force, by looking at all of them."""
    found = [
        wording
        for wording in catalog.wordings
        if wording.consent_type == consent_type and wording.in_force.holds_at(at)
    ]
    return found[0] if found else None


SCOPE: Final = contact("news", "sms")
INSTANTS: Final = range(12)
CAUSES: Final = sorted(STRENGTH_BY_CAUSE)


@st.composite
def sequences_of_grants(draw: st.DrawFn) -> list[Grant]:
    """Grants of one scope in any order, most of them one after the other as people's mostly are."""
    grants = []
    latest = 0
    for number in range(draw(st.integers(1, 5))):
        obtained_at = draw(st.integers(0, 8))
        least = draw(st.sampled_from([obtained_at, max(obtained_at, latest)]))
        ends_at = draw(st.integers(least, max(least, 10)) | st.just(FOREVER))
        latest = latest if ends_at == FOREVER else min(max(latest, ends_at), 9)
        event_id = draw(st.sampled_from(["a", "b", "c"]))
        basis = Basis(f"{event_id}{number}", "type", 1, None, obtained_at, ends_at)
        grants.append(Grant(basis, draw(st.sampled_from(CAUSES)), (SCOPE,)))
    if draw(st.booleans()):
        grants.sort(key=lambda grant: grant.obtained_at)
    return grants


@settings(max_examples=1000, deadline=None)
@given(grants=sequences_of_grants())
def test_the_segments_say_what_each_instant_says(grants: list[Grant]) -> None:
    """At every instant the segment that holds has the reason and the basis of the plain rule."""
    timeline = permission_timeline(
        FoldedTimeline(is_known=True, grants=grants, restrictions=(), unmatched=())
    )
    segments = timeline.segments[SCOPE]
    for before, after in pairwise(segments):
        assert before.end == after.start
        assert (before.reason, before.basis) != (after.reason, after.basis)
    assert segments[-1].end == FOREVER
    bases_met = [segment.basis for segment in segments if segment.basis != NO_BASIS]
    assert set(bases_met) == set(range(len(timeline.bases)))
    for at in INSTANTS:
        found = [segment for segment in segments if segment.start <= at < segment.end]
        reason, basis = plain_answer(grants, at)
        if reason is Reason.NO_CONSENT:
            assert found == []
            continue
        [segment] = found
        assert segment.reason is reason
        assert (timeline.bases[segment.basis] if segment.basis != NO_BASIS else None) == basis


def plain_answer(grants: list[Grant], at: Instant) -> tuple[Reason, Basis | None]:
    """Judge one instant as steps 4 and 5 of the answer say."""
    obtained = [grant for grant in grants if grant.obtained_at <= at]
    holding = [grant.basis for grant in obtained if at < grant.basis.ends_at]
    if holding:
        return Reason.ALLOWED, min(
            holding, key=lambda basis: (-basis.ends_at, -basis.obtained_at, basis.event_id)
        )
    if obtained:
        last = max(
            obtained, key=lambda grant: (grant.basis.ends_at, STRENGTH_BY_CAUSE[grant.ended_by])
        )
        return last.ended_by, None
    if any(grant.obtained_at < grant.basis.ends_at for grant in grants):
        return Reason.CONSENT_NOT_YET_VALID, None
    return Reason.NO_CONSENT, None
