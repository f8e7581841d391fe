"""What is published and recorded forbids a new catalog (`semantics.md`, Publication)."""

from typing import Any

import pytest

from decision.catalog_history import (
    CodeList,
    UsedCode,
    codes_of_body,
    codes_of_wordings,
    faults_against_history,
)
from decision.errors import DocumentFault, FaultKind, PublicationRefusedError
from decision.events import (
    Acquisition,
    Body,
    Consent,
    Merge,
    Purchase,
    Restriction,
    Revocation,
    Void,
)
from decision.instants import FOREVER
from decision.scopes import ScopeKind
from decision.selectors import EVERYTHING, Selector
from tests.unit.decision_builders import JANUARY, LOAN, catalog, codes, row, wording


@pytest.mark.parametrize(
    ("body", "used"),
    [
        (Purchase(JANUARY, LOAN), set()),
        (Void("e1", "mistake"), set()),
        (Merge("a", "b"), set()),
        (
            Consent(JANUARY, "ads", "granted"),
            {UsedCode(CodeList.CONSENT_TYPE, "ads"), UsedCode(CodeList.VALUE, "granted", "ads")},
        ),
        (Acquisition(JANUARY, "acme"), {UsedCode(CodeList.PARTNER, "acme")}),
        (Revocation(JANUARY, EVERYTHING), set()),
        (
            Revocation(JANUARY, Selector(channel="sms", consent_type="ads", event_id="e1")),
            {UsedCode(CodeList.CHANNEL, "sms"), UsedCode(CodeList.CONSENT_TYPE, "ads")},
        ),
        (
            Restriction(
                JANUARY,
                FOREVER,
                "complaint",
                Selector(
                    kind=ScopeKind.SHARE, purpose="advertising", partner="acme", dataset="scoring"
                ),
            ),
            {
                UsedCode(CodeList.PURPOSE, "advertising"),
                UsedCode(CodeList.PARTNER, "acme"),
                UsedCode(CodeList.DATASET, "scoring"),
            },
        ),
    ],
)
def test_codes_of_events(body: Body, used: set[UsedCode]) -> None:
    """An event uses the codes it names; ids, instants and products are no codes."""
    assert codes_of_body(body) == used


def test_codes_of_wordings() -> None:
    """A wording uses its type and the codes of the scopes it grants."""
    known = catalog(
        wordings=[
            wording(
                grants=[{"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]}]
            )
        ]
    )
    assert codes_of_wordings(known) == {
        UsedCode(CodeList.CONSENT_TYPE, "ads"),
        UsedCode(CodeList.PURPOSE, "advertising"),
        UsedCode(CodeList.PARTNER, "acme"),
        UsedCode(CodeList.DATASET, "scoring"),
    }


def faults(*used: UsedCode, **fields: Any) -> list[DocumentFault]:
    """The faults of a new catalog after the default one, while these codes are in use."""
    return faults_against_history(catalog(**fields), catalog(), used)


def test_dates_term_and_scopes_of_a_published_wording_may_be_corrected() -> None:
    """Only the text of a published wording is fixed for good."""
    corrected = wording(
        in_force_from="2001-01-01T00:00:00Z",
        in_force_to="2002-01-01T00:00:00Z",
        term="P1Y",
        grants=[{"purpose": "storage"}],
        description="corrected",
    )
    assert faults(wordings=[corrected, wording(2, in_force_from="2002-01-01T00:00:00Z")]) == []


def test_text_of_a_published_wording_may_not_change() -> None:
    """The fault names the wording's place in the new document."""
    earlier = wording(9, in_force_from="1990-01-01T00:00:00Z", in_force_to="1991-01-01T00:00:00Z")
    found = faults(wordings=[earlier, wording(text="Another.")])
    assert [(fault.path, fault.kind) for fault in found] == [
        ("wordings[1].text", FaultKind.CONFLICT)
    ]
    assert "ads/1" in found[0].problem


def test_language_added_to_a_published_text_is_a_change() -> None:
    """What a customer may have read is the text in every language it was published in."""
    assert [fault.path for fault in faults(wordings=[wording(text={"ru": "Text 1."})])] == [
        "wordings[0].text"
    ]


def test_published_wording_may_not_go() -> None:
    """A wording that is gone is named."""
    found = faults(wordings=[])
    assert [(fault.path, fault.kind) for fault in found] == [("wordings", FaultKind.CONFLICT)]
    assert "ads/1" in found[0].problem


@pytest.mark.parametrize(
    ("used", "path"),
    [
        (UsedCode(CodeList.PURPOSE, "gone"), "purposes"),
        (UsedCode(CodeList.CHANNEL, "gone"), "channels"),
        (UsedCode(CodeList.PARTNER, "gone"), "partners"),
        (UsedCode(CodeList.DATASET, "gone"), "datasets"),
        (UsedCode(CodeList.CONSENT_TYPE, "gone"), "consent_types"),
        (UsedCode(CodeList.VALUE, "gone", "ads"), "consent_types"),
    ],
)
def test_code_in_use_may_not_go(used: UsedCode, path: str) -> None:
    """Each list keeps the codes that are in use; the fault says which."""
    found = faults(used)
    assert [(fault.path, fault.kind) for fault in found] == [(path, FaultKind.CONFLICT)]
    assert "'gone'" in found[0].problem


def test_value_of_a_type_that_is_gone_is_told_once() -> None:
    """Where the type itself is gone, its values are not listed as well."""
    used = (UsedCode(CodeList.CONSENT_TYPE, "gone"), UsedCode(CodeList.VALUE, "yes", "gone"))
    assert len(faults(*used)) == 1


def test_retired_code_is_not_gone() -> None:
    """Retiring a code in use is no fault, nor is removing one that nothing uses."""
    channels = [{"code": "sms", "retired": True}]
    used = UsedCode(CodeList.CHANNEL, "sms")
    assert faults(used, channels=channels, matrix=[row(system_code="ABS")]) == []


def test_faulty_in_itself_outranks_at_odds() -> None:
    """Both kinds together are refused as faulty in itself."""
    conflict = DocumentFault("wordings", "gone", "put it back", FaultKind.CONFLICT)
    invalid = DocumentFault("zone", "bad", "correct it")
    assert not PublicationRefusedError([conflict]).is_invalid
    assert PublicationRefusedError([conflict, invalid]).is_invalid


def test_history_of_nothing_forbids_nothing() -> None:
    """Before the first publication only the document itself counts."""
    assert faults_against_history(catalog(), catalog(wordings=[], channels=codes("sms")), []) == []
