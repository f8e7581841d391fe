"""The bases in a cached record: what an ALLOW rests on.

What lives here: writing bases as bytes and reading one of them. A basis names its consent type,
wording version and end, and the occasion that gave it: event, product, matrix row and when. Several
bases mostly share one. The occasions follow the table of bases.

Codes are written as their numbers, and as text where they have none. Hexadecimal digits in pairs
take half the room: those of a UUID, those that end an event id, and series and numbers of nothing
else.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from typing import Final

from decision.grants import Basis
from decision.instants import Instant
from decision.products import Product
from store.code_numbers import NO_NUMBER, CodeNumbers, NumbersOfBasis
from store.record.layout import Layout, Parts

HAS_PRODUCT: Final = 1
_IS_EVENT_UUID: Final = 2
_ENDS_EVENT_HEXADECIMAL: Final = 4
IS_SERIES_HEXADECIMAL: Final = 8
IS_NUMBER_HEXADECIMAL: Final = 16
_HAS_CONSENT_TYPE: Final = 32

_WRITTEN_OUT: Final = 0xFFFF
"""In the place of a number: the code has none, its text follows."""

_TEXT_LENGTH: Final = struct.Struct("<I")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_LENGTH: Final = 36
_UUID_BYTES: Final = 16
_HEXADECIMAL_DIGITS: Final = "0123456789abcdef"
_END_DIGITS_MIN: Final = 4
"""Fewer digits at the end of an event id take no less room in pairs, beside the length before."""
_BYTE_MAX: Final = 0xFF

_DAMAGED: Final = "a basis in a cached record is damaged"


def encode_bases(
    bases: Iterable[Basis],
    index_of_instant: dict[Instant, int],
    numbers: CodeNumbers,
    layout: Layout,
) -> bytes:
    """Write bases, and their occasions once each. Raises struct.error for what does not fit."""
    table: list[bytes] = []
    occasions: list[bytes] = []
    # By all that bases of one occasion share; a consent type is given where it has no number.
    offsets: dict[tuple[str, Product | None, Instant, str, str], int] = {}
    consent_types = numbers.basis_numbers.consent_types
    pack = layout.basis.pack
    next_offset = 0
    for event_id, consent_type, version, product, obtained_at, ends_at, row in bases:
        number = consent_types.get(consent_type, NO_NUMBER)
        unnumbered_type = "" if number else consent_type
        occasion = (event_id, product, obtained_at, row, unnumbered_type)
        offset = offsets.get(occasion)
        if offset is None:
            offset = offsets[occasion] = next_offset
            encoded = _encode_occasion(
                event_id,
                product,
                index_of_instant[obtained_at],
                row,
                unnumbered_type,
                numbers,
                layout,
            )
            occasions.append(encoded)
            next_offset += len(encoded)
        table.append(pack(offset, index_of_instant[ends_at], number or _WRITTEN_OUT, version))
    return b"".join((*table, *occasions))


def _encode_occasion(
    event_id: str,
    product: Product | None,
    index_of_obtained: int,
    row_id: str,
    unnumbered_type: str,
    numbers: CodeNumbers,
    layout: Layout,
) -> bytes:
    written_out: list[str] = []
    _, matrix_rows, system_codes, product_types = numbers.basis_numbers
    event, flags = _encode_event_id(event_id)
    row = _number(matrix_rows, row_id, written_out)
    encoded_product = series = number = b""
    if product is not None:
        system_code, product_type, series_text, number_text = product
        series, series_flag = _encode_text(series_text, IS_SERIES_HEXADECIMAL)
        number, number_flag = _encode_text(number_text, IS_NUMBER_HEXADECIMAL)
        flags |= HAS_PRODUCT | series_flag | number_flag
        encoded_product = layout.product.pack(
            _number(system_codes, system_code, written_out),
            _number(product_types, product_type, written_out),
            len(series),
            len(number),
        )
    if unnumbered_type:
        flags |= _HAS_CONSENT_TYPE
        written_out.append(unnumbered_type)
    head = layout.occasion.pack(flags, index_of_obtained, row, len(event))
    encoded = b"".join((head, encoded_product, event, series, number))
    return encoded + b"".join(map(_encode_written_out, written_out)) if written_out else encoded


def _encode_event_id(text: str) -> tuple[bytes, int]:
    """Give an event id as bytes and the flag of how; before an end of digits its length stands."""
    if len(text) == _UUID_LENGTH and _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", "")), _IS_EVENT_UUID
    # Digits in pairs: of an odd number the first is none of the end.
    at = len(text.rstrip(_HEXADECIMAL_DIGITS))
    at += (len(text) - at) & 1
    if len(text) - at >= _END_DIGITS_MIN:
        before = text[:at].encode()
        if len(before) <= _BYTE_MAX:
            return b"%c%b%b" % (len(before), before, bytes.fromhex(text[at:])), (
                _ENDS_EVENT_HEXADECIMAL
            )
    return text.encode(), 0


def _encode_text(text: str, flag: int) -> tuple[bytes, int]:
    """Give a text as bytes, and the flag if they are what its hexadecimal digits stand for."""
    if text and not (len(text) & 1 or text.strip(_HEXADECIMAL_DIGITS)):
        return bytes.fromhex(text), flag
    return text.encode(), 0


def _number(numbers: Mapping[str, int], code: str, written_out: list[str]) -> int:
    number = numbers.get(code) if code else NO_NUMBER
    if number is None:
        written_out.append(code)
        return _WRITTEN_OUT
    return number


def _encode_written_out(text: str) -> bytes:
    encoded = text.encode()
    return _TEXT_LENGTH.pack(len(encoded)) + encoded


def basis_at(
    record: bytes,
    index: int,
    parts: Parts,
    instants: tuple[Instant, ...],
    numbers: CodeNumbers,
    layout: Layout,
) -> Basis:
    """Read one basis; `instants` are all of the record, by index.

    Raises ValueError when it is damaged, KeyError for a number that no code has.
    """
    if index >= parts.basis_count:
        raise ValueError(_DAMAGED)
    # One function, and the texts read in place: every single check that is allowed comes by here.
    try:
        entry_at = parts.bases_at + index * layout.basis.size
        offset, ends, consent_type, version = layout.basis.unpack_from(record, entry_at)
        at = parts.occasions_at + offset
        flags, obtained, row, event_length = layout.occasion.unpack_from(record, at)
        at += layout.occasion.size
        system = product_type = series_length = number_length = 0
        if flags & HAS_PRODUCT:
            system, product_type, series_length, number_length = layout.product.unpack_from(
                record, at
            )
            at += layout.product.size
        series_at = at + event_length
        number_at = series_at + series_length
        texts_end = number_at + number_length
        if texts_end > len(record):
            raise ValueError(_DAMAGED)
        found = (consent_type, row, system, product_type)
        codes = (
            _codes_written_out(record, texts_end, found, numbers)
            if _WRITTEN_OUT in found
            else numbers.codes_of_basis(found)
        )
        product = None
        if flags & HAS_PRODUCT:
            series, number = record[series_at:number_at], record[number_at:texts_end]
            product = Product(
                codes[2],
                codes[3],
                series.hex() if flags & IS_SERIES_HEXADECIMAL else series.decode(),
                number.hex() if flags & IS_NUMBER_HEXADECIMAL else number.decode(),
            )
        return Basis(
            utf8_event_id(record[at:series_at], flags).decode(),
            codes[0],
            version,
            product,
            instants[obtained],
            instants[ends],
            codes[1],
        )
    except (struct.error, IndexError) as error:
        raise ValueError(_DAMAGED) from error


def _codes_written_out(
    record: bytes, at: int, found: NumbersOfBasis, numbers: CodeNumbers
) -> tuple[str, str, str, str]:
    """Read codes some of which have no number: their texts follow each other, the row's first."""
    consent_type, row, system_code, product_type = found
    codes = numbers.basis_codes
    in_order = (
        (row, codes.matrix_rows),
        (system_code, codes.system_codes),
        (product_type, codes.product_types),
        (consent_type, codes.consent_types),
    )
    read = []
    for number, numbered in in_order:
        if number != _WRITTEN_OUT:
            read.append(numbered[number])
            continue
        (length,) = _TEXT_LENGTH.unpack_from(record, at)
        text_at = at + _TEXT_LENGTH.size
        at = text_at + length
        if at > len(record):
            raise ValueError(_DAMAGED)
        read.append(record[text_at:at].decode())
    return read[3], read[0], read[1], read[2]


def utf8_text(encoded: bytes, is_hexadecimal: int) -> bytes:
    """Read a series or a number as UTF-8, which it is unless it is damaged."""
    return encoded.hex().encode() if is_hexadecimal else encoded


def utf8_event_id(encoded: bytes, flags: int) -> bytes:
    """Read the event id of an occasion with these flags as UTF-8, which it is unless it is damaged.

    Raises ValueError and IndexError.
    """
    if flags & _IS_EVENT_UUID:
        return _decode_uuid(encoded).encode()
    if flags & _ENDS_EVENT_HEXADECIMAL:
        end_at = 1 + encoded[0]
        return encoded[1:end_at] + encoded[end_at:].hex().encode()
    return encoded


def _decode_uuid(encoded: bytes) -> str:
    if len(encoded) != _UUID_BYTES:
        raise ValueError(_DAMAGED)
    digits = encoded.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
