"""Reading a catalog document: a whole catalog, or every fault of the document in itself.

What lives here: the structure of the document (as in YAML or JSON, already read into mappings and
lists) and the rules that a document keeps by itself (`semantics.md`, Publication,
`INVALID_ARGUMENT`). The grants of a wording are read in `document_grants`; what earlier
publications and events forbid is in `catalog_history`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from decision.catalog import (
    DEFAULT_VALUES,
    EMPTY_CATALOG,
    AcquisitionRule,
    Catalog,
    Code,
    ConsentType,
    Effect,
    Interval,
    Partner,
    Value,
    Wording,
)
from decision.document_grants import GrantsReader
from decision.document_reader import Faults, KnownCodes, Node
from decision.errors import DocumentFault, FaultKind, PublicationRefusedError
from decision.instants import FOREVER
from decision.matrix import MatrixRow
from decision.products import Mask
from decision.scopes import ScopeKind
from decision.selectors import Selector, problem_of_form
from decision.terms import INDEFINITE, UNTIL_PRODUCT_CLOSED, Term, parse_term

_Listed = TypeVar("_Listed")

WORDING_VERSION_MAX: Final = 2**31 - 1


def read_catalog(document: object) -> Catalog:
    """Read a whole document. Raises PublicationRefusedError with what `inspect_catalog` finds."""
    catalog, faults = inspect_catalog(document)
    if faults:
        raise PublicationRefusedError(faults)
    return catalog


def inspect_catalog(document: object) -> tuple[Catalog, list[DocumentFault]]:
    """Read as much of a document as can be read, and give it with every fault found.

    Of more than FAULTS_MAX faults the first are given, and one that tells how many are left out.
    The catalog is fit for use only when there is no fault.
    """
    faults = Faults(FaultKind.INVALID)
    if not isinstance(document, Mapping):
        faults.note("", "the document is not a mapping", "begin with zone:, purposes:, …")
        return EMPTY_CATALOG, faults.found
    root = Node(document, "", faults)
    catalog = _Document(root).read()
    root.refuse_unknown_fields()
    return catalog, faults.found


class _Document:
    """Reads the lists one after the other; later ones refer to codes of earlier ones."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._zone = root.parsed("zone", _parse_zone, ZoneInfo("UTC"))
        self._purposes = self._read_codes("purposes", "purpose", _read_code)
        self._channels = self._read_codes("channels", "channel", _read_code)
        self._partners = self._read_codes("partners", "partner", self._read_partner)
        self._datasets = self._read_codes("datasets", "data set", _read_code)
        self._consent_types = self._read_codes("consent_types", "consent type", _read_consent_type)

    def read(self) -> Catalog:
        return Catalog(
            zone=self._zone,
            purposes=self._purposes.by_code,
            channels=self._channels.by_code,
            partners=self._partners.by_code,
            datasets=self._datasets.by_code,
            consent_types=self._consent_types.by_code,
            wordings=self._read_wordings(),
            matrix_rows=self._read_matrix(),
            acquisition_rules=[
                self._read_acquisition_rule(node) for node in self._root.nodes("acquisition_rules")
            ],
        )

    def _read_codes(
        self, field: str, what: str, read: Callable[[Node], _Listed]
    ) -> KnownCodes[_Listed]:
        return KnownCodes(what, _by_code((node, read(node)) for node in self._root.nodes(field)))

    def _read_partner(self, node: Node) -> Partner:
        code = _read_code(node)
        suspension = None
        if node.has("suspended_from"):
            suspension = self._read_interval(node, "suspended_from", "suspended_to")
        elif node.has("suspended_to"):
            node.note("suspended_to", "has no beginning", "give suspended_from too")
        return Partner(code.code, code.name, code.retired, suspension)

    def _read_interval(self, node: Node, from_field: str, to_field: str) -> Interval:
        count_before = node.faults.count
        start = node.instant(from_field, self._zone)
        end = node.optional_instant(to_field, self._zone, FOREVER)
        if node.faults.count == count_before and end <= start:
            node.note(to_field, f"is not after {from_field}", f"name an instant after {from_field}")
        return Interval(start, end)

    def _read_wordings(self) -> list[Wording]:
        grants = GrantsReader(self._purposes, self._channels, self._partners, self._datasets)
        read = [(node, self._read_wording(node, grants)) for node in self._root.nodes("wordings")]
        grants.refuse_too_many(self._root)
        _refuse_repeated(
            (
                (node, (wording.consent_type, wording.version))
                for node, wording in read
                if wording.consent_type and wording.version
            ),
            "version",
            "this version of the consent type stands twice",
        )
        _refuse_overlaps(
            (node, wording.consent_type, wording.in_force, f"version {wording.version}")
            for node, wording in read
            if wording.consent_type
        )
        return [wording for _, wording in read]

    def _read_wording(self, node: Node, grants: GrantsReader) -> Wording:
        version = node.raw("version")
        if (
            not isinstance(version, int)
            or isinstance(version, bool)
            or not 1 <= version <= WORDING_VERSION_MAX
        ):
            node.note("version", f"{version!r} is not a version", "number the versions 1, 2, 3, …")
            version = 0
        term_text, term = _read_term(node)
        node.localised("description", required=False)
        return Wording(
            consent_type=node.code("consent_type", self._consent_types),
            version=version,
            text=node.localised("text", required=True),
            in_force=self._read_interval(node, "in_force_from", "in_force_to"),
            term_text=term_text,
            term=term,
            scopes=grants.read(node),
        )

    def _read_matrix(self) -> list[MatrixRow]:
        read = [(node, self._read_row(node)) for node in self._root.nodes("matrix")]
        _refuse_repeated(
            ((node, row.id) for node, row in read if row.id), "id", "this row id stands twice"
        )
        _refuse_overlaps(
            (
                node,
                row.normalised_selector,
                Interval(row.in_force_from, row.in_force_to),
                f"row {row.id!r}, which selects the same products",
            )
            for node, row in read
            if any(row.normalised_selector)
        )
        return [row for _, row in read]

    def _read_row(self, node: Node) -> MatrixRow:
        in_force = self._read_interval(node, "in_force_from", "in_force_to")
        row = MatrixRow(
            id=node.identifier("id"),
            system_code=node.optional_identifier("system_code"),
            product_type=node.optional_identifier("product_type"),
            series_mask=_read_mask(node, "series_mask"),
            number_mask=_read_mask(node, "number_mask"),
            in_force_from=in_force.start,
            in_force_to=in_force.end,
            consent_types=node.codes("consent_types", self._consent_types),
        )
        node.localised("name", required=False)
        node.localised("description", required=False)
        if not any(node.has(criterion) for criterion in _CRITERIA):
            node.note("id", "the row has no criterion", f"give one of {', '.join(_CRITERIA)}")
        return row

    def _read_acquisition_rule(self, node: Node) -> AcquisitionRule:
        term_text, term = _read_term(node)
        if term is UNTIL_PRODUCT_CLOSED:
            node.note(
                "term",
                "an acquisition has no product to be closed",
                "write a duration or indefinite",
            )
        node.localised("description", required=False)
        return AcquisitionRule(
            partner=node.code("partner", self._partners),
            selector=self._read_selector(node),
            term_text=term_text,
            term=term,
        )

    def _read_selector(self, parent: Node) -> Selector:
        node = parent.node("selector")
        if node is None:
            return Selector()
        kind = None
        if node.has("kind"):
            kind = node.parsed("kind", _parse_scope_kind, ScopeKind.CONTACT)
        selector = Selector(
            all=node.flag("all"),
            kind=kind,
            purpose=_optional_code(node, "purpose", self._purposes),
            channel=_optional_code(node, "channel", self._channels),
            partner=_optional_code(node, "partner", self._partners),
            dataset=_optional_code(node, "dataset", self._datasets),
        )
        # A part that was given but faulty is no reason to call the selector empty as well.
        named = any(node.has(part) for part in ("purpose", "channel", "partner", "dataset"))
        problem = problem_of_form(selector, for_revocation=False)
        if problem and (selector.named() or selector.all or not named):
            parent.note("selector", problem, "name what is to be restricted")
        node.refuse_unknown_fields()
        return selector


_CRITERIA: Final = ("system_code", "product_type", "series_mask", "number_mask")


def _read_code(node: Node) -> Code:
    node.localised("description", required=False)
    return Code(
        code=node.identifier("code"),
        name=node.localised("name", required=False),
        retired=node.flag("retired"),
    )


def _read_consent_type(node: Node) -> ConsentType:
    code = _read_code(node)
    values: Mapping[str, Value] = DEFAULT_VALUES
    if node.has("values"):
        values = _by_code((value, _read_value(value)) for value in node.nodes("values"))
        if not values and isinstance(node.raw("values"), list):
            node.note(
                "values",
                "is empty",
                "list the values, or leave the list out for granted and refused",
            )
    terms = node.raw("terms")
    if terms not in (None, "union", "latest"):
        node.note("terms", f"{terms!r} is not a rule for terms", "write union or latest")
    return ConsentType(
        code.code,
        code.name,
        code.retired,
        values,
        latest_counts=terms == "latest",
        reference_text=node.localised("reference_text", required=False),
    )


def _read_value(node: Node) -> Value:
    code = _read_code(node)
    effect = node.parsed("effect", _parse_effect, Effect.NOTES)
    return Value(code.code, code.name, code.retired, effect)


def _read_term(node: Node) -> tuple[str, Term]:
    otherwise: Term = INDEFINITE
    return str(node.raw("term")), node.parsed("term", parse_term, otherwise)


def _read_mask(node: Node, field: str) -> Mask | None:
    if not node.has(field):
        return None
    text = node.identifier(field)
    mask = Mask(text)
    # What is no text to begin with is noted already, and not empty because of normalisation.
    if text and not mask.normalised:
        node.note(
            field, "is empty after normalisation", "write a mask with letters, digits, * or ?"
        )
    return mask


_NOT_OF_IANA: Final = ("localtime", "posixrules", "posix/", "right/")
"""What machines have beside the zones: it differs between them, or counts leap seconds."""


def _parse_zone(text: str) -> ZoneInfo:
    message = f"{text!r} is not an IANA time zone such as Europe/Moscow"
    if text.startswith(_NOT_OF_IANA):
        raise ValueError(message)
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(message) from error


def _parse_effect(text: str) -> Effect:
    try:
        return Effect(text)
    except ValueError as error:
        message = f"{text!r} is not an effect: write grants, refuses or notes"
        raise ValueError(message) from error


def _parse_scope_kind(text: str) -> ScopeKind:
    try:
        return ScopeKind(text)
    except ValueError as error:
        message = f"{text!r} is not a kind of scope: write contact, share or process"
        raise ValueError(message) from error


def _optional_code(node: Node, field: str, known: KnownCodes[_Listed]) -> str:
    return node.code(field, known) if node.has(field) else ""


def _by_code(read: Iterable[tuple[Node, _Listed]]) -> dict[str, _Listed]:
    by_code: dict[str, _Listed] = {}
    for node, listed in read:
        code = getattr(listed, "code", "")
        if code in by_code:
            node.note("code", f"{code!r} stands twice", "give every code once")
        elif code:
            by_code[code] = listed
    return by_code


def _refuse_repeated(keys: Iterable[tuple[Node, Hashable]], field: str, problem: str) -> None:
    seen: set[Hashable] = set()
    for node, key in keys:
        if key in seen:
            node.note(field, problem, "give it once")
        seen.add(key)


def _refuse_overlaps(
    read: Iterable[tuple[Node, Hashable, Interval, str]],
) -> None:
    """Note each interval that begins before an earlier one of the same key has ended."""
    by_key: dict[Hashable, list[tuple[Interval, Node, str]]] = {}
    for node, key, interval, name in read:
        if interval.start < interval.end:
            by_key.setdefault(key, []).append((interval, node, name))
    for entries in by_key.values():
        entries.sort(key=lambda entry: entry[0])
        longest, _, longest_name = entries[0]
        for interval, node, name in entries[1:]:
            if interval.start < longest.end:
                node.note(
                    "in_force_from",
                    f"is in force together with {longest_name}",
                    "let one end when the other begins",
                )
            if interval.end > longest.end:
                longest, longest_name = interval, name
