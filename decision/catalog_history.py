"""What earlier publications and recorded events forbid a new catalog (`semantics.md`, Publication).

What lives here: the faults of a document at odds with what is published or recorded
(`FAILED_PRECONDITION`), and which codes an event or a wording uses.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from decision.catalog import Catalog
from decision.document_reader import Faults
from decision.errors import DocumentFault, FaultKind
from decision.events import (
    Acquisition,
    Body,
    Consent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
)
from decision.scopes import Scope
from decision.selectors import Selector


class CodeList(StrEnum):
    """The lists of a catalog whose codes may be in use, or are kept by number in cached records.

    A StrEnum hashes as a str does, in C; numbers are looked up a great deal.
    """

    PURPOSE = "purpose"
    CHANNEL = "channel"
    PARTNER = "partner"
    DATASET = "dataset"
    CONSENT_TYPE = "consent_type"
    VALUE = "value"
    MATRIX_ROW = "matrix_row"
    SYSTEM_CODE = "system_code"
    PRODUCT_TYPE = "product_type"


class UsedCode(NamedTuple):
    """A code that an event or a published wording uses; a value is named with its type."""

    code_list: CodeList
    code: str
    consent_type: str = ""


def codes_of_body(body: Body) -> set[UsedCode]:
    """Give the codes that an event uses, voided or not."""
    if isinstance(body, (Purchase, ProductClosing)):
        # Most are; it takes longer to match them.
        return set()
    match body:
        case Consent(consent_type=consent_type, value=value):
            return {
                UsedCode(CodeList.CONSENT_TYPE, consent_type),
                UsedCode(CodeList.VALUE, value, consent_type),
            }
        case Revocation(selector=selector) | Restriction(selector=selector):
            return _codes_of_parts(selector) | (
                {UsedCode(CodeList.CONSENT_TYPE, selector.consent_type)}
                if selector.consent_type
                else set()
            )
        case Acquisition(partner=partner):
            return {UsedCode(CodeList.PARTNER, partner)}
        case _:
            return set()


def codes_of_wordings(catalog: Catalog) -> set[UsedCode]:
    """Give the codes that the wordings of a catalog use."""
    used = {UsedCode(CodeList.CONSENT_TYPE, wording.consent_type) for wording in catalog.wordings}
    for wording in catalog.wordings:
        for scope in wording.scopes:
            used |= _codes_of_parts(scope)
    return used


def _codes_of_parts(parts: Selector | Scope) -> set[UsedCode]:
    named = (
        UsedCode(CodeList.PURPOSE, parts.purpose),
        UsedCode(CodeList.CHANNEL, parts.channel),
        UsedCode(CodeList.PARTNER, parts.partner),
        UsedCode(CodeList.DATASET, parts.dataset),
    )
    return {used for used in named if used.code}


def faults_against_history(
    catalog: Catalog, newest: Catalog, used_codes: Iterable[UsedCode]
) -> list[DocumentFault]:
    """List where `catalog` is at odds with the newest publication and with the codes in use.

    As every catalog has to keep the wordings of the one before, comparing with the newest compares
    with all. Of more than FAULTS_MAX faults the first are given, and one that tells how many are
    left out.
    """
    faults = Faults(FaultKind.CONFLICT)
    _note_texts(catalog, newest, faults)
    _note_codes(catalog, used_codes, faults)
    return faults.found


def _note_texts(catalog: Catalog, newest: Catalog, faults: Faults) -> None:
    indexes = {
        (wording.consent_type, wording.version): index
        for index, wording in enumerate(catalog.wordings)
    }
    for published in newest.wordings:
        name = f"{published.consent_type}/{published.version}"
        index = indexes.get((published.consent_type, published.version))
        if index is None:
            faults.note(
                "wordings",
                f"the published wording {name} is gone",
                "put it back; to end its use correct its in_force_to",
            )
        elif catalog.wordings[index].text != published.text:
            faults.note(
                f"wordings[{index}].text",
                f"the text of the published wording {name} was changed",
                "put the published text back and add a new version for the new text",
            )


_CODES_BY_LIST: Final[Mapping[CodeList, Callable[[Catalog], Mapping[str, object]]]] = {
    CodeList.PURPOSE: lambda catalog: catalog.purposes,
    CodeList.CHANNEL: lambda catalog: catalog.channels,
    CodeList.PARTNER: lambda catalog: catalog.partners,
    CodeList.DATASET: lambda catalog: catalog.datasets,
    CodeList.CONSENT_TYPE: lambda catalog: catalog.consent_types,
}


def _note_codes(catalog: Catalog, used_codes: Iterable[UsedCode], faults: Faults) -> None:
    for used in sorted(used_codes, key=lambda used: (used.code_list.value, used[1:])):
        if used.code_list is CodeList.VALUE:
            consent_type = catalog.consent_types.get(used.consent_type)
            is_kept = consent_type is None or used.code in consent_type.values
            where = f"value {used.code!r} of consent type {used.consent_type!r}"
            path = "consent_types"
        else:
            is_kept = used.code in _CODES_BY_LIST[used.code_list](catalog)
            where = f"{used.code_list.value} {used.code!r}"
            path = f"{used.code_list.value}s"
        if not is_kept:
            faults.note(
                path,
                f"{where} is gone, but an event or a published wording uses it",
                "put it back and mark it `retired: true`",
            )
