"""Reading the bases of many cached records at once.

What lives here: what `record.bases` does for one basis, done for many: numpy finds all numbers, and
what is left for each is its texts. A property test compares the two.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from decision.catalog_history import CodeList
from decision.products import Product
from decision.timeline import Basis
from store.code_numbers import CodeNumbers
from store.judging import Numbers, Records
from store.record.bases import (
    HAS_PRODUCT,
    IS_NUMBER_HEXADECIMAL,
    IS_SERIES_HEXADECIMAL,
    decode_event_id,
)


def read_bases(
    records: Records, places: Numbers, indexes: NDArray[np.uint8], numbers: CodeNumbers
) -> list[Basis | None]:
    """Read a basis of each of the records at `places`, by its index; None for one to be read alone.

    That is one that is damaged, or that has something written out which mostly is not.
    """
    found = records.bases(places, indexes.astype(np.int64))
    codes = [
        numbers.codes(code_list)
        for code_list in (
            CodeList.CONSENT_TYPE,
            CodeList.MATRIX_ROW,
            CodeList.SYSTEM_CODE,
            CodeList.PRODUCT_TYPE,
        )
    ]
    read: list[Basis | None] = [None] * len(places)
    for place, line in zip(found.left, found.lines, strict=True):
        read[place] = _basis(records.laid_out, line, codes)
    return read


def _basis(
    laid_out: bytes, line: Sequence[int], codes: Sequence[Mapping[int, str]]
) -> Basis | None:
    flags, ends, obtained, version, *code_numbers, at, series_at, number_at, end = line
    consent_type, row, system, kind = code_numbers
    consent_types, rows, systems, kinds = codes
    product = None
    try:
        if flags & IS_SERIES_HEXADECIMAL:
            return None
        if flags & HAS_PRODUCT:
            number = laid_out[number_at:end]
            product = Product(
                systems[system],
                kinds[kind],
                laid_out[series_at:number_at].decode(),
                number.hex() if flags & IS_NUMBER_HEXADECIMAL else number.decode(),
            )
        return Basis(
            decode_event_id(laid_out[at:series_at], flags),
            consent_types[consent_type],
            version,
            product,
            obtained,
            ends,
            rows[row],
        )
    except (ValueError, LookupError):
        return None
