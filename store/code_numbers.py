"""Numbers of codes, and scope numbers packed from them.

What lives here: the translation between codes and the numbers that stand for them in cached
records and the permission table. A number is assigned once, at the first publication that names
the code, and never reused; so a packed scope number keeps its meaning for good. Scopes cannot do
without the numbers of their codes; what a basis names may have none, and is then written out.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from decision.catalog import Catalog
from decision.catalog_history import CodeList
from decision.errors import ErrorCode, PreconditionError
from decision.partings import PARTINGS_KEPT_MAX, Parting
from decision.scopes import Scope, ScopeKind
from decision.selectors import EVERYTHING, Selector

PURPOSE_NUMBER_MAX: Final = 2**12 - 1
CODE_NUMBER_MAX: Final = 2**16 - 1
"""Numbers that fit a scope number: 4 bits of kind, 12 of purpose, 16 of each other code."""

_KIND_NUMBERS: Final = {ScopeKind.CONTACT: 1, ScopeKind.SHARE: 2, ScopeKind.PROCESS: 3}
_KINDS: Final = {number: kind for kind, number in _KIND_NUMBERS.items()}
_KIND_SHIFT: Final = 60
_PURPOSE_SHIFT: Final = 48
_CHANNEL_SHIFT: Final = 32
_PARTNER_SHIFT: Final = 16

BASIS_NUMBER_MAX: Final = 2**16 - 2
"""The highest number of what a basis names; codes beyond it have none."""

NO_NUMBER: Final = 0
"""Stands for a code that is not named, and is given for one that has no number."""

_SCOPE_LISTS: Final = (
    CodeList.PURPOSE,
    CodeList.CHANNEL,
    CodeList.PARTNER,
    CodeList.DATASET,
)
_BASIS_LISTS: Final = (
    CodeList.CONSENT_TYPE,
    CodeList.MATRIX_ROW,
    CodeList.SYSTEM_CODE,
    CodeList.PRODUCT_TYPE,
)
NUMBERED_LISTS: Final = (*_SCOPE_LISTS, *_BASIS_LISTS)


def codes_to_number(catalog: Catalog) -> Iterable[tuple[CodeList, str]]:
    """Give the codes of a catalog that scopes are made of, then those that a basis names."""
    rows = catalog.matrix_rows
    lists: Mapping[CodeList, Iterable[str | None]] = {
        CodeList.PURPOSE: catalog.purposes,
        CodeList.CHANNEL: catalog.channels,
        CodeList.PARTNER: catalog.partners,
        CodeList.DATASET: catalog.datasets,
        CodeList.CONSENT_TYPE: catalog.consent_types,
        CodeList.MATRIX_ROW: [row.id for row in rows],
        CodeList.SYSTEM_CODE: [row.system_code for row in rows],
        CodeList.PRODUCT_TYPE: [row.product_type for row in rows],
    }
    return (
        (code_list, code)
        for code_list in NUMBERED_LISTS
        for code in dict.fromkeys(lists[code_list])
        if code
    )


SELECTIONS_KEPT_MAX: Final = 1024
"""Selections that are kept ready, each for what some question asks about."""


BASES_KEPT_MAX: Final = 1024
"""Sets of codes that are kept ready, each as some bases name them together."""

CELLS_KEPT_MAX: Final = 128
"""Lists of scopes for which a selection keeps ready which cells it means."""

_NARROW_SCOPE: Final = struct.Struct("<I")


class Selection(NamedTuple):
    """What of a record answers for some scopes: their cells by scope number, their restrictions.

    In a record of the narrow format the numbers are the narrow ones. `cells_of` gives for the bytes
    that such a record has of its scopes which cells are of a selected one: many people have scopes
    in common.
    """

    scopes: Mapping[int, Scope]
    narrow_scopes: Mapping[int, Scope]
    patterns: frozenset[int]
    cells_of: Callable[[bytes], Sequence[tuple[int, Scope]]]


class BasisCodes(NamedTuple):
    """The codes by number of the lists from which a basis names something."""

    consent_types: Mapping[int, str]
    matrix_rows: Mapping[int, str]
    system_codes: Mapping[int, str]
    product_types: Mapping[int, str]


NumbersOfBasis: TypeAlias = tuple[int, int, int, int]
"""Numbers of consent type, matrix row, system code and product type, as a basis names them."""


class BasisNumbers(NamedTuple):
    """The numbers by code of the lists from which a basis names something."""

    consent_types: Mapping[str, int]
    matrix_rows: Mapping[str, int]
    system_codes: Mapping[str, int]
    product_types: Mapping[str, int]


class Cells(NamedTuple):
    """The scopes of a parting by rising number, and for each its place there.

    Once by wide numbers and once by narrow ones, which need not have the same order; `places` are
    in the order in which the wide ones meet them.
    """

    wide: tuple[Sequence[int], Sequence[int]]
    narrow: tuple[Sequence[int], Sequence[int]]
    places: Sequence[int]


class CodeNumbers:
    """The numbers assigned so far. Immutable; 0 stands for a part that is not named."""

    def __init__(self, numbers: Mapping[tuple[CodeList, str], int]) -> None:
        """Take the assigned numbers by list and code."""
        self._numbers = dict(numbers)
        self._codes = {
            (code_list, number): code for (code_list, code), number in self._numbers.items()
        }
        by_list: dict[CodeList, dict[int, str]] = {
            code_list: {NO_NUMBER: ""} for code_list in CodeList
        }
        for (code_list, number), code in self._codes.items():
            by_list[code_list][number] = code
        self.basis_codes: Final = BasisCodes(*(by_list[code_list] for code_list in _BASIS_LISTS))
        self.basis_numbers: Final = BasisNumbers(
            *(
                {code: number for number, code in by_list[code_list].items() if number}
                for code_list in _BASIS_LISTS
            )
        )
        self._scope_numbers: dict[Scope, int] = {}
        self._scopes: dict[int, Scope] = {}
        self._selectors: dict[int, Selector] = {}
        self.selection = lru_cache(SELECTIONS_KEPT_MAX)(self._select)
        """Gives, for a tuple of scopes, what of a record answers for them.

        Worked out once, as many ask the same. Raises KeyError for a code without a number.
        """
        self.codes_of_basis = lru_cache(BASES_KEPT_MAX)(self._codes_of_basis)
        """Gives the codes that a basis names by their numbers, in the same order. Raises KeyError.

        Most bases name the same few together.
        """
        self.cells = lru_cache(PARTINGS_KEPT_MAX)(self._cells_of)
        """Gives the cells of a parting. Raises KeyError for a code without a number."""

    def with_codes_of(self, catalog: Catalog) -> "CodeNumbers":
        """Give these numbers with new ones for the codes that have none yet.

        Raises PreconditionError when a list that scopes are made of has more codes than fit.
        """
        numbers = dict(self._numbers)
        highest = {
            code_list: max(
                (number for (listed, _), number in numbers.items() if listed is code_list),
                default=0,
            )
            for code_list in NUMBERED_LISTS
        }
        for code_list, code in codes_to_number(catalog):
            if (code_list, code) in numbers:
                continue
            if code_list in _BASIS_LISTS and highest[code_list] >= BASIS_NUMBER_MAX:
                continue
            highest[code_list] += 1
            limit = PURPOSE_NUMBER_MAX if code_list is CodeList.PURPOSE else CODE_NUMBER_MAX
            if highest[code_list] > limit:
                message = f"more than {limit} different {code_list.value} codes were ever published"
                raise PreconditionError(message, ErrorCode.CATALOG_CONFLICT)
            numbers[code_list, code] = highest[code_list]
        return CodeNumbers(numbers)

    def items(self) -> Iterable[tuple[CodeList, str, int]]:
        """Give list, code and number of every code."""
        return ((code_list, code, number) for (code_list, code), number in self._numbers.items())

    def number_of(self, code_list: CodeList, code: str) -> int:
        """Give the number of a code, NO_NUMBER if it has none."""
        return self._numbers.get((code_list, code), NO_NUMBER)

    def code(self, code_list: CodeList, number: int) -> str:
        """Give the code that has a number. Raises KeyError when none has it."""
        return self._codes[code_list, number]

    def scope_number(self, scope: Scope) -> int:
        """Pack a scope. Raises KeyError for a code without a number."""
        number = self._scope_numbers.get(scope)
        if number is None:
            number = self._pack(scope.kind, scope)
            self._scope_numbers[scope] = number
        return number

    def pattern_number(self, selector: Selector) -> int:
        """Pack the parts of a restriction's selector, 0 for what it does not name."""
        return self._pack(selector.kind, selector)

    def scope(self, number: int) -> Scope:
        """Unpack a scope number."""
        scope = self._scopes.get(number)
        if scope is None:
            kind, *codes = self._unpack(number)
            scope = Scope(_KINDS[kind], *codes)
            self._scopes[number] = scope
        return scope

    def selector(self, pattern: int) -> Selector:
        """Unpack a pattern number."""
        selector = self._selectors.get(pattern)
        if selector is None:
            kind, purpose, channel, partner, dataset = self._unpack(pattern)
            selector = (
                Selector(
                    kind=_KINDS.get(kind),
                    purpose=purpose,
                    channel=channel,
                    partner=partner,
                    dataset=dataset,
                )
                if pattern
                else EVERYTHING
            )
            self._selectors[pattern] = selector
        return selector

    def _select(self, scopes: tuple[Scope, ...]) -> Selection:
        by_number = {self.scope_number(scope): scope for scope in scopes}
        narrow = {narrow_scope_number(number): scope for number, scope in by_number.items()}

        def find_cells(numbers: bytes) -> Sequence[tuple[int, Scope]]:
            return [
                (cell, narrow[number])
                for cell, (number,) in enumerate(_NARROW_SCOPE.iter_unpack(numbers))
                if number in narrow
            ]

        return Selection(
            by_number,
            narrow,
            frozenset[int]().union(*(patterns_matching(number) for number in by_number)),
            lru_cache(CELLS_KEPT_MAX)(find_cells),
        )

    def _codes_of_basis(self, numbers: NumbersOfBasis) -> tuple[str, str, str, str]:
        consent_type, row, system_code, product_type = numbers
        consent_types, rows, system_codes, product_types = self.basis_codes
        return (
            consent_types[consent_type],
            rows[row],
            system_codes[system_code],
            product_types[product_type],
        )

    def _cells_of(self, parting: Parting) -> Cells:
        wide = sorted((self.scope_number(scope), at) for scope, at in parting.places.items())
        narrow = sorted((narrow_scope_number(number), at) for number, at in wide)
        return Cells(
            ([number for number, _ in wide], [at for _, at in wide]),
            ([number for number, _ in narrow], [at for _, at in narrow]),
            list(dict.fromkeys(at for _, at in wide)),
        )

    def _pack(self, kind: ScopeKind | None, parts: Scope | Selector) -> int:
        return (
            (_KIND_NUMBERS[kind] if kind is not None else 0) << _KIND_SHIFT
            | self._number(CodeList.PURPOSE, parts.purpose) << _PURPOSE_SHIFT
            | self._number(CodeList.CHANNEL, parts.channel) << _CHANNEL_SHIFT
            | self._number(CodeList.PARTNER, parts.partner) << _PARTNER_SHIFT
            | self._number(CodeList.DATASET, parts.dataset)
        )

    def _number(self, code_list: CodeList, code: str) -> int:
        return self._numbers[code_list, code] if code else 0

    def _unpack(self, number: int) -> tuple[int, str, str, str, str]:
        return (
            number >> _KIND_SHIFT,
            self._code(CodeList.PURPOSE, number >> _PURPOSE_SHIFT & PURPOSE_NUMBER_MAX),
            self._code(CodeList.CHANNEL, number >> _CHANNEL_SHIFT & CODE_NUMBER_MAX),
            self._code(CodeList.PARTNER, number >> _PARTNER_SHIFT & CODE_NUMBER_MAX),
            self._code(CodeList.DATASET, number & CODE_NUMBER_MAX),
        )

    def _code(self, code_list: CodeList, number: int) -> str:
        return self._codes[code_list, number] if number else ""


PART_MASKS: Final = (
    0xF << _KIND_SHIFT,
    PURPOSE_NUMBER_MAX << _PURPOSE_SHIFT,
    CODE_NUMBER_MAX << _CHANNEL_SHIFT,
    CODE_NUMBER_MAX << _PARTNER_SHIFT,
    CODE_NUMBER_MAX,
)
"""The bits of each part of a scope or pattern number."""

_NARROW_CODE_BITS: Final = 9
_NARROW_PARTNER_BITS: Final = 13
_NARROW_SHARE: Final = 1 << 31
_NARROW_KIND_SHIFT: Final = 28
_SHARE_KIND: Final = _KIND_NUMBERS[ScopeKind.SHARE]


def narrow_scope_number(scope_number: int) -> int:
    """Pack a scope number into 32 bits; one that does not fit becomes a number that does not.

    A share has 9 bits of purpose, 13 of partner and 9 of data set behind a bit that is set; other
    kinds have 3 bits of kind, 12 of purpose and 16 of channel behind one that is not.
    """
    purpose = scope_number >> _PURPOSE_SHIFT & PURPOSE_NUMBER_MAX
    if scope_number >> _KIND_SHIFT != _SHARE_KIND:
        kind = scope_number >> _KIND_SHIFT
        channel = scope_number >> _CHANNEL_SHIFT & CODE_NUMBER_MAX
        return kind << _NARROW_KIND_SHIFT | purpose << 16 | channel
    partner = scope_number >> _PARTNER_SHIFT & CODE_NUMBER_MAX
    dataset = scope_number & CODE_NUMBER_MAX
    if purpose >> _NARROW_CODE_BITS or dataset >> _NARROW_CODE_BITS:
        return scope_number
    if partner >> _NARROW_PARTNER_BITS:
        return scope_number
    return (
        _NARROW_SHARE
        | purpose << _NARROW_PARTNER_BITS + _NARROW_CODE_BITS
        | partner << _NARROW_CODE_BITS
        | dataset
    )


def wide_scope_number(narrow: int) -> int:
    """Give the scope number that `narrow_scope_number` packed into 32 bits."""
    if not narrow & _NARROW_SHARE:
        kind = narrow >> _NARROW_KIND_SHIFT
        purpose = narrow >> 16 & PURPOSE_NUMBER_MAX
        channel = narrow & CODE_NUMBER_MAX
        return kind << _KIND_SHIFT | purpose << _PURPOSE_SHIFT | channel << _CHANNEL_SHIFT
    code_max = (1 << _NARROW_CODE_BITS) - 1
    purpose = narrow >> _NARROW_PARTNER_BITS + _NARROW_CODE_BITS & code_max
    partner = narrow >> _NARROW_CODE_BITS & (1 << _NARROW_PARTNER_BITS) - 1
    return (
        _SHARE_KIND << _KIND_SHIFT
        | purpose << _PURPOSE_SHIFT
        | partner << _PARTNER_SHIFT
        | narrow & code_max
    )


def patterns_matching(scope_number: int) -> frozenset[int]:
    """Give the pattern numbers that match a scope: each part named or not.

    The parts that a scope does not have are zero anyway: the subsets collapse to those there are.
    """
    return frozenset(
        sum(scope_number & mask for mask in chosen)
        for chosen in product(*((0, mask) for mask in PART_MASKS))
    )
