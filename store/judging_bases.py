"""Reading the bases of many cached records at once.

What lives here: what `record.bases` does for one basis, done for many: numpy finds all numbers, and
what is left for each is its texts. A property test compares the two.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decision.grants import Basis
from decision.products import Product
from store.code_numbers import CodeNumbers
from store.judging import BasisLines, Flags, Numbers, Records
from store.record import read_basis
from store.record.bases import (
    IS_NUMBER_HEXADECIMAL,
    IS_SERIES_HEXADECIMAL,
    utf8_event_id,
    utf8_text,
)


class Granted(NamedTuple):
    """What many bases have in common. Without a product there are no codes of it."""

    has_product: bool
    consent_type: str
    wording_version: int
    system_code: str
    product_type: str


_NO_PRODUCT: Final = Product("", "", "", "")


class Bases(NamedTuple):
    """Bases by column, texts as UTF-8. Of one that not `is_readable` nothing is known.

    `granted` tells which of `grants` each has; series and number are empty without a product.
    """

    is_readable: Flags
    grants: Sequence[Granted]
    granted: Sequence[int]
    event_ids: Sequence[bytes]
    series: Sequence[bytes]
    numbers: Sequence[bytes]
    obtained_at: Numbers
    ends_at: Numbers


def read_bases(
    records: Records, places: Numbers, indexes: NDArray[np.uint8], numbers: CodeNumbers
) -> Bases:
    """Read a basis of each of the records at `places`, by its index.

    One that has something written out, which mostly is not, is read alone.
    """
    reader = _Reader(len(places), numbers)
    reader.read_together(records.laid_out, records.bases(places, indexes.astype(np.int64)))
    for place in np.flatnonzero(~reader.is_readable).tolist():
        with suppress(ValueError, LookupError):
            record = records.plain(places[place])
            reader.put(place, read_basis(record, int(indexes[place]), numbers))
    return reader.bases()


class _Reader:
    """Reads so many bases into columns."""

    def __init__(self, count: int, numbers: CodeNumbers) -> None:
        self.is_readable: Flags = np.zeros(count, np.bool_)
        self._grants = _Grants(numbers)
        self._granted = [0] * count
        self._event_ids = [b""] * count
        self._series = [b""] * count
        self._numbers = [b""] * count
        self._obtained_at, self._ends_at = np.zeros((2, count), np.int64)

    def bases(self) -> Bases:
        """Give what was read."""
        return Bases(
            self.is_readable,
            self._grants.found,
            self._granted,
            self._event_ids,
            self._series,
            self._numbers,
            self._obtained_at,
            self._ends_at,
        )

    def read_together(self, laid_out: bytes, found: BasisLines) -> None:
        """Read what was found; what can not be read so is left out."""
        self._obtained_at[found.left], self._ends_at[found.left] = found.obtained_at, found.ends_at
        number_of, granted, event_ids = self._grants, self._granted, self._event_ids
        all_series, all_numbers = self._series, self._numbers
        read = []
        for place, grant, (flags, at, series_at, number_at, end) in zip(
            found.left.tolist(), found.grants, found.texts, strict=True
        ):
            series, number = laid_out[series_at:number_at], laid_out[number_at:end]
            try:
                granted[place] = number_of[grant]
                event_ids[place] = utf8_event_id(laid_out[at:series_at], flags)
            except (ValueError, LookupError):
                continue
            all_series[place] = utf8_text(series, flags & IS_SERIES_HEXADECIMAL)
            all_numbers[place] = utf8_text(number, flags & IS_NUMBER_HEXADECIMAL)
            read.append(place)
        if not _is_utf8((*event_ids, *all_series, *all_numbers)):
            read = [
                place
                for place in read
                if _is_utf8((event_ids[place], all_series[place], all_numbers[place]))
            ]
        self.is_readable[read] = True

    def put(self, place: int, basis: Basis) -> None:
        """Take a basis that was read alone."""
        self.is_readable[place] = True
        product = basis.product or _NO_PRODUCT
        self._granted[place] = self._grants.add(
            Granted(
                basis.product is not None,
                basis.consent_type,
                basis.wording_version,
                product.system_code,
                product.product_type,
            )
        )
        self._event_ids[place] = basis.event_id.encode()
        self._series[place] = product.series.encode()
        self._numbers[place] = product.number.encode()
        self._obtained_at[place], self._ends_at[place] = basis.obtained_at, basis.ends_at


class _Grants(dict[tuple[int, ...], int]):
    """Numbers what was `found`, by the numbers that tell of it in a record.

    Raises KeyError for a code without a number.
    """

    def __init__(self, numbers: CodeNumbers) -> None:
        super().__init__()
        self.found: list[Granted] = []
        self._numbers = numbers

    def __missing__(self, key: tuple[int, ...]) -> int:
        has_product, consent_type, version, system_code, product_type = key
        codes = self._numbers.basis_codes
        number = self[key] = self.add(
            Granted(
                bool(has_product),
                codes.consent_types[consent_type],
                version,
                codes.system_codes[system_code],
                codes.product_types[product_type],
            )
        )
        return number

    def add(self, granted: Granted) -> int:
        self.found.append(granted)
        return len(self.found) - 1


def _is_utf8(texts: Iterable[bytes]) -> bool:
    """Tell whether every text is UTF-8. None ends within a letter, as another one follows."""
    try:
        b"\0".join(texts).decode()
    except UnicodeDecodeError:
        return False
    return True
