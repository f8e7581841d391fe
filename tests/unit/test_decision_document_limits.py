"""Limits of catalog documents: a small document can make neither scopes nor faults without end."""

from typing import Any

import pytest
from maywe.v1.catalog_pb2 import ValidateCatalogResponse

from decision import document_grants
from decision.catalog_document import inspect_catalog
from decision.catalog_history import CodeList, UsedCode, faults_against_history
from decision.document_grants import (
    SCOPES_LISTED_MAX,
    SCOPES_PER_CATALOG_MAX,
    SCOPES_PER_WORDING_MAX,
)
from decision.document_reader import CODES_SHOWN_MAX, FAULTS_MAX, KnownCodes
from decision.errors import FAULT_TEXT_LENGTH_MAX, DocumentFault, FaultKind
from decision.scopes import Scope, share
from service.conversion.catalogs import fault_message
from service.server import MESSAGE_BYTES_MAX
from tests.unit.decision_builders import catalog, codes, document, wording

Document = dict[str, Any]

SIDE = 100
"""So many partners and so many data sets come to the most that a wording may grant."""

LONG_CODE = "x" * 3 * 1024 * 1024


def numbered(prefix: str, count: int) -> list[str]:
    """Codes with numbers."""
    return [f"{prefix}{number}" for number in range(count)]


def sharing(partners: list[str], datasets: list[str]) -> Document:
    """An entry of grants that comes to the pairs of both."""
    return {"purpose": "advertising", "partners": partners, "datasets": datasets}


def granting(*grants: Document, version: int = 1) -> Document:
    """A wording of one year, so that many may stand side by side."""
    year = 1900 + version
    return wording(
        version,
        grants=list(grants),
        in_force_from=f"{year}-01-01T00:00:00Z",
        in_force_to=f"{year + 1}-01-01T00:00:00Z",
    )


def sharing_document(partner_count: int, dataset_count: int, *wordings: Document) -> Document:
    """A document with so many partners and data sets."""
    return document(
        partners=codes(*numbered("p", partner_count)),
        datasets=codes(*numbered("d", dataset_count)),
        wordings=list(wordings),
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Scope]:
    """The share scopes that were built, as often as they were."""
    scopes: list[Scope] = []

    def counted(purpose: str, partner: str, dataset: str) -> Scope:
        scopes.append(share(purpose, partner, dataset))
        return scopes[-1]

    monkeypatch.setattr(document_grants, "share", counted)
    return scopes


def test_scopes_of_one_wording_are_counted_before_they_are_built(built: list[Scope]) -> None:
    """A wording whose pairs are too many is one fault, and none of its scopes is built."""
    partners, datasets = numbered("p", 1500), numbered("d", 1500)
    content = sharing_document(1500, 1500, granting(sharing(partners, datasets)))
    read, faults = inspect_catalog(content)
    assert [fault.path for fault in faults] == ["wordings[0].grants"]
    assert "2250000" in faults[0].problem
    assert str(SCOPES_PER_WORDING_MAX) in faults[0].problem
    assert built == []
    assert read.wordings[0].scopes == ()


def test_entries_of_one_wording_are_counted_together(built: list[Scope]) -> None:
    """The limit is one of the wording, though each entry keeps it and repeats the one before."""
    entry = sharing(numbered("p", SIDE), numbered("d", SIDE))
    content = sharing_document(SIDE, SIDE, granting(entry, entry))
    assert [fault.path for fault in inspect_catalog(content)[1]] == ["wordings[0].grants"]
    assert built == []


def test_as_many_scopes_as_allowed() -> None:
    """A wording, and with it a catalog, may come to exactly the limit."""
    entry = sharing(numbered("p", SIDE), numbered("d", SIDE))
    read, faults = inspect_catalog(sharing_document(SIDE, SIDE, granting(entry)))
    assert faults == []
    assert len(read.wordings[0].scopes) == SCOPES_PER_WORDING_MAX == SCOPES_PER_CATALOG_MAX


def test_different_scopes_of_all_wordings_are_limited() -> None:
    """Wordings that keep the limit each may not come to too many different scopes together."""
    partners, datasets = numbered("p", SIDE), numbered("d", SIDE + 1)
    content = sharing_document(
        SIDE,
        SIDE + 1,
        granting(sharing(partners, datasets[:SIDE])),
        granting(sharing(partners[:1], datasets[SIDE:]), version=2),
    )
    faults = inspect_catalog(content)[1]
    assert [fault.path for fault in faults] == ["wordings"]
    assert str(SCOPES_PER_CATALOG_MAX + 1) in faults[0].problem


def test_scopes_listed_by_all_wordings_are_limited(built: list[Scope]) -> None:
    """Many wordings that repeat the same scopes are one fault; no more are built than allowed."""
    entry = sharing(numbered("p", SIDE), numbered("d", SIDE))
    fitting = SCOPES_LISTED_MAX // SCOPES_PER_WORDING_MAX
    wordings = [granting(entry, version=version) for version in range(1, fitting + 31)]
    faults = inspect_catalog(sharing_document(SIDE, SIDE, *wordings))[1]
    assert [fault.path for fault in faults] == ["wordings"]
    assert str((fitting + 30) * SCOPES_PER_WORDING_MAX) in faults[0].problem
    assert len(built) == SCOPES_LISTED_MAX


def test_equal_scopes_are_kept_once() -> None:
    """Wordings that grant the same scope share one object."""
    entry = sharing(["p0"], ["d0"])
    read, _ = inspect_catalog(
        sharing_document(1, 1, granting(entry), granting(entry, version=2)),
    )
    first, second = read.wordings
    assert first.scopes[0] is second.scopes[0]


def test_faults_are_listed_up_to_the_limit() -> None:
    """Of too many faults the first are listed; a last one says how many are left out."""
    unknown = numbered("c", FAULTS_MAX + 500)
    entry = {"purpose": "advertising", "channels": unknown}
    faults = inspect_catalog(document(wordings=[wording(grants=[entry])]))[1]
    assert [fault.path for fault in faults[:-1]] == [
        f"wordings[0].grants[0].channels[{index}]" for index in range(FAULTS_MAX)
    ]
    assert faults[-1].path == ""
    assert faults[-1].problem == "500 more faults are left out"
    assert faults[-1].kind is FaultKind.INVALID


def test_as_many_faults_as_allowed() -> None:
    """Where every fault is listed nothing is said to be left out."""
    entry = {"purpose": "advertising", "channels": numbered("c", FAULTS_MAX)}
    faults = inspect_catalog(document(wordings=[wording(grants=[entry])]))[1]
    assert len(faults) == FAULTS_MAX
    assert all(fault.path for fault in faults)


def test_conflicts_are_listed_up_to_the_limit() -> None:
    """What is at odds with history is limited in the same way, and stays a conflict."""
    used = [UsedCode(CodeList.PARTNER, code) for code in numbered("gone", FAULTS_MAX + 7)]
    faults = faults_against_history(catalog(), catalog(), used)
    assert len(faults) == FAULTS_MAX + 1
    assert faults[-1].problem == "7 more faults are left out"
    assert {fault.kind for fault in faults} == {FaultKind.CONFLICT}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (document(wordings=[wording(consent_type=LONG_CODE)]), "is not a consent type"),
        (document(zone=LONG_CODE), "is not an IANA time zone"),
        (document(wordings=[wording(term=LONG_CODE)]), "is not a term"),
        (document(wordings=[wording(in_force_from=LONG_CODE)]), "is not an instant"),
        (document(wordings=[wording(LONG_CODE, text="Text.")]), "is not a version"),
        (document(**{LONG_CODE: 1}), "is not a field here"),
    ],
    ids=["code", "zone", "term", "instant", "version", "field"],
)
def test_long_quotations_are_shortened(content: Document, what: str) -> None:
    """A fault that quotes megabytes is short, and still says what is wrong."""
    (fault,) = inspect_catalog(content)[1]
    assert what in fault.problem
    texts = (fault.path, fault.problem, fault.remedy)
    assert all(len(text) <= FAULT_TEXT_LENGTH_MAX for text in texts)


def test_a_text_that_fits_is_whole() -> None:
    """A text of just the limit is kept as it is; one more character costs the middle."""
    whole = DocumentFault("", "p" * FAULT_TEXT_LENGTH_MAX, "")
    assert whole.problem == "p" * FAULT_TEXT_LENGTH_MAX
    cut = DocumentFault("", "b" + "p" * (FAULT_TEXT_LENGTH_MAX - 1) + "e", "")
    assert len(cut.problem) == FAULT_TEXT_LENGTH_MAX
    assert (cut.problem[0], cut.problem[-1]) == ("b", "e")
    assert "…" in cut.problem


def test_the_longest_answer_fits_a_message() -> None:
    """As many faults as can be, of both kinds and with the longest texts, fit one message."""
    text = "\U00010000" * (FAULT_TEXT_LENGTH_MAX + 1)
    faults = [
        DocumentFault(text, text, text, kind) for kind in FaultKind for _ in range(FAULTS_MAX + 1)
    ]
    response = ValidateCatalogResponse(
        faults=map(fault_message, faults), base_number=2**31 - 1
    ).SerializeToString()
    assert len(response) <= MESSAGE_BYTES_MAX


def test_a_faulty_document_of_the_longest_fields_fits_a_message() -> None:
    """Thousands of long unknown fields and codes make an answer that can be sent."""
    content = document(
        channels=codes(*numbered("\U00010000" * 120, 200)),
        wordings=[
            wording(grants=[{"purpose": "advertising", "channels": numbered("\U00010000", 5000)}])
        ],
        **{"\U00010000" * 500 + str(number): number for number in range(500)},
    )
    faults = inspect_catalog(content)[1]
    response = ValidateCatalogResponse(faults=map(fault_message, faults))
    assert len(faults) == FAULTS_MAX + 1
    assert response.ByteSize() <= MESSAGE_BYTES_MAX // 2


def test_known_codes_are_sorted_once() -> None:
    """The remedy of an unknown code is worked out once for all faults, from the first codes."""
    known = KnownCodes("channel", dict.fromkeys(reversed(numbered("c", 50))))
    assert known.remedy is known.remedy
    assert known.remedy.endswith(", ".join(sorted(numbered("c", 50))[:CODES_SHOWN_MAX]))
