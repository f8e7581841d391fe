"""Answers kept across a publication, compared with folding everybody under the new catalog."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision.answer import Answer, answer_scope
from decision.catalog import Catalog
from decision.catalog_document import inspect_catalog
from decision.catalog_step import CatalogStep
from decision.errors import MayweError
from decision.fold import fold
from decision.grants import Basis, FoldedTimeline
from decision.instants import Instant
from decision.reasons import Reason
from decision.scopes import Scope, process
from decision.timeline import PermissionTimeline, permission_timeline
from tests.decision_system import DecisionSystem, Known
from tests.model.choices import Choices, SeededChoices, chance, pick, some
from tests.model.document import Document, effects_of
from tests.model.palette import CONSENT_TYPES, EARLY, PARTNERS, TERMS, ZONES, Palette
from tests.model.random_catalog import corrected
from tests.model.random_steps import ScenarioBuilder
from tests.property.strategies import DrawnChoices
from tests.property.test_permissions_over_time import CUSTOMERS, instants_that_matter

pytestmark = pytest.mark.property

SEEDS: Final = range(60)
PUBLICATIONS_PER_SEED: Final = 8
STEPS_MIN: Final = 8
STEPS_SPREAD: Final = 16
KEPT_SHARE_MIN: Final = 0.5
"""Of all answers. The catalogs are small: a change of one wording reaches half of the scopes."""

COMMON_REASONS: Final = frozenset(Reason) - {Reason.UNAVAILABLE}


def test_answers_that_are_kept_are_those_of_a_new_fold() -> None:
    """For every kind of change, scope and boundary; most are kept, and every reason is."""
    kept: Counter[Reason] = Counter()
    total = 0
    for seed in SEEDS:
        for reason, is_kept in answers_of(SeededChoices(seed), PUBLICATIONS_PER_SEED):
            total += 1
            kept[reason] += is_kept
    assert {reason for reason, count in kept.items() if count} == COMMON_REASONS
    assert kept.total() > KEPT_SHARE_MIN * total


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_generated_answers_that_are_kept_are_those_of_a_new_fold(data: st.DataObject) -> None:
    """The same for whatever Hypothesis comes upon, and shrinks."""
    for _ in answers_of(DrawnChoices(data.draw), publication_count=2):
        pass


def answers_of(choices: Choices, publication_count: int) -> Iterator[tuple[Reason, bool]]:
    """Record some events, publish so many catalogs instead of the newest, and judge every answer.

    Gives the reason of each answer, and whether it is kept.
    """
    builder = ScenarioBuilder(choices)
    builder.add_first_steps()
    for _ in range(STEPS_MIN + choices.below(STEPS_SPREAD)):
        builder.add_next_step()
    system = DecisionSystem()
    for step in builder.steps:
        try:
            system.apply(step)
        except MayweError:
            continue
    assert builder.document is not None
    persons = [system.known(customer) for customer in CUSTOMERS]
    for _ in range(publication_count):
        document = _changed(choices, builder.palette, builder.document)
        new, faults = inspect_catalog(document)
        if faults:
            continue
        catalog_step = CatalogStep(system.catalogs[-1], new)
        for known in persons:
            yield from _judge(catalog_step, known, new)


def _judge(step: CatalogStep, known: Known, new: Catalog) -> Iterator[tuple[Reason, bool]]:
    folded = fold(new, known.events, named_by_merge=known.timeline.is_known)
    timeline = permission_timeline(folded)
    instants = sorted(
        instants_that_matter(known.timeline, known.catalog) | instants_that_matter(timeline, new)
    )
    for scope in {*known.timeline.segments, *timeline.segments, process("service")}:
        suspension = new.suspension_of(scope)
        for at in instants or [0]:
            answer = answer_scope(known.timeline, suspension, scope, at)
            is_kept = step.keeps(known.timeline, scope, at)
            assert is_kept == step.keeps(_as_recorded(known.timeline, scope, at), scope, at)
            assert is_kept or not step.is_exact
            if is_kept:
                expected = answer_scope(timeline, suspension, scope, at)
                assert _agrees(answer, expected, folded, scope), (scope, at, answer, expected)
            yield answer.reason, is_kept


def _as_recorded(timeline: PermissionTimeline, scope: Scope, at: Instant) -> PermissionTimeline:
    """What a cached record may hold at the least when it is asked for one scope."""
    left = [segment for segment in timeline.segments.get(scope, ()) if segment.end > at]
    return replace(
        timeline,
        segments={scope: left} if left else {},
        restrictions=[
            restriction
            for restriction in timeline.restrictions
            if restriction.end > at and restriction.selector.matches_scope(scope)
        ],
    )


def _agrees(answer: Answer, expected: Answer, folded: FoldedTimeline, scope: Scope) -> bool:
    if answer.basis is None:
        return answer.reason is expected.reason
    return (
        expected.is_allowed
        and expected.not_after >= answer.not_after
        and _stands(answer.basis, folded, scope)
    )


def _stands(basis: Basis, folded: FoldedTimeline, scope: Scope) -> bool:
    return any(
        (grant.event_id, grant.consent_type, grant.wording_version, grant.obtained_at)
        == (basis.event_id, basis.consent_type, basis.wording_version, basis.obtained_at)
        and scope in grant.endings
        and grant.endings[scope].at == basis.ends_at
        for grant in folded.grants
    )


def _changed(choices: Choices, stock: Palette, document: Document) -> Document:
    """A document with a few corrections of any kind, or with one small change of a common kind."""
    if chance(choices, 40):
        return corrected(choices, stock, document)
    changed = copy.deepcopy(document)
    pick(choices, _SMALL_CHANGES)(choices, stock, changed)
    return changed


def _remove_row(choices: Choices, _: Palette, document: Document) -> None:
    document["matrix"].remove(pick(choices, document["matrix"]))


def _end_row(choices: Choices, stock: Palette, document: Document) -> None:
    pick(choices, document["matrix"])["in_force_to"] = pick(choices, stock.instants)


def _begin_row(choices: Choices, stock: Palette, document: Document) -> None:
    pick(choices, document["matrix"])["in_force_from"] = pick(choices, stock.instants)


def _sign_otherwise(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["matrix"])["consent_types"] = some(choices, CONSENT_TYPES, 3)


def _add_row(choices: Choices, stock: Palette, document: Document) -> None:
    begins = pick(choices, (EARLY, *stock.instants))
    signed = some(choices, CONSENT_TYPES, 2)
    row: dict[str, Any] = {"id": "another", "in_force_from": begins, "consent_types": signed}
    criterion, offered = pick(
        choices, (("product_type", ("loan", "card")), ("series_mask", ("K*", "KR-01", "X?")))
    )
    document["matrix"].append(row | {criterion: pick(choices, offered)})


def _rename_row(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["matrix"])["id"] = pick(choices, ("0", "renamed"))


def _end_wording(choices: Choices, stock: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["in_force_to"] = pick(choices, stock.instants)


def _begin_wording(choices: Choices, stock: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["in_force_from"] = pick(choices, (EARLY, *stock.instants))


def _widen_wording(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["grants"].append({"purpose": "service"})


def _supersede_wording(choices: Choices, stock: Palette, document: Document) -> None:
    """A newer version from some instant on, with the scopes and the term of the one it follows."""
    former = pick(choices, document["wordings"])
    begins = pick(choices, stock.instants)
    version = 1 + max(wording["version"] for wording in document["wordings"])
    document["wordings"].append(former | {"version": version, "in_force_from": begins})
    former["in_force_to"] = begins


def _add_type(choices: Choices, _: Palette, document: Document) -> None:
    document["consent_types"].append({"code": "type_d", "name": "type_d"})
    wording = copy.deepcopy(pick(choices, document["wordings"]))
    document["wordings"].append(wording | {"consent_type": "type_d", "in_force_from": EARLY})
    if chance(choices, 50):
        pick(choices, document["matrix"])["consent_types"].append("type_d")


def _add_value(choices: Choices, _: Palette, document: Document) -> None:
    effect = pick(choices, ("grants", "refuses", "notes"))
    consent_type = pick(choices, document["consent_types"])
    if "values" in consent_type:
        consent_type["values"].append({"code": "late", "name": "late", "effect": effect})


def _change_effect(choices: Choices, _: Palette, document: Document) -> None:
    code = pick(choices, CONSENT_TYPES)
    effects = effects_of(document, code)
    effects[pick(choices, list(effects))] = pick(choices, ("grants", "refuses", "notes"))
    for consent_type in document["consent_types"]:
        if consent_type["code"] == code:
            consent_type["values"] = [
                {"code": value, "name": value, "effect": effect}
                for value, effect in effects.items()
            ]


def _change_term(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["term"] = pick(choices, TERMS)


def _change_terms(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["consent_types"])["terms"] = pick(choices, ("union", "latest"))


def _change_zone(choices: Choices, _: Palette, document: Document) -> None:
    document["zone"] = pick(choices, ZONES)


def _add_rule(choices: Choices, _: Palette, document: Document) -> None:
    document["partners"].append({"code": "newcomer", "name": "newcomer"})
    partner = pick(choices, ("newcomer", *PARTNERS))
    selector = pick(choices, ({"all": True}, {"channel": "sms"}))
    rule: dict[str, Any] = {"partner": partner, "selector": selector, "term": "P1Y"}
    document["acquisition_rules"].append(rule)


def _remove_rule(choices: Choices, _: Palette, document: Document) -> None:
    if document["acquisition_rules"]:
        document["acquisition_rules"].remove(pick(choices, document["acquisition_rules"]))


def _suspend(choices: Choices, stock: Palette, document: Document) -> None:
    pick(choices, document["partners"])["suspended_from"] = pick(choices, (EARLY, *stock.instants))


def _rename(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["consent_types"])["name"] = "another name"


_SMALL_CHANGES: Final[tuple[Callable[[Choices, Palette, Document], None], ...]] = (
    *(_remove_row, _end_row, _begin_row, _sign_otherwise, _add_row, _rename_row),
    *(_end_wording, _begin_wording, _widen_wording, _supersede_wording),
    *(_change_effect, _change_effect, _change_term, _change_terms, _change_zone),
    *(_add_type, _add_value, _add_rule, _remove_rule, _suspend, _rename),
)
"""Some make a faulty document at times, which is passed over."""
