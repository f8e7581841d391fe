"""The readers of documents and files, each with what it is given and what has to come of it.

What lives here: one `Reader` for each thing that is read from outside. How many inputs are tried is
the business of the test, the campaign and the guided search.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from decision.catalog_document import inspect_catalog
from decision.errors import InvalidArgumentError, PublicationRefusedError
from service.access.callers_file import CallersFileError, read_callers
from service.access.keys import KeySet, KeySetError
from service.documents import Format, read_document
from service.importing.errors import ImportFailedError, MappingInvalidError
from service.importing.mapping import FileMapping, load_mapping, parse_mapping
from service.importing.reader import read
from service.importing.rows import Tally
from store.cursors import CursorKind, decode_cursor
from store.token import decode_token
from tests.hostile.documents import TROUBLE, documents
from tests.hostile.judging import TELL_TALES
from tests.hostile.target import document

_KEY: Final = bytes(32)
_ZONE: Final = ZoneInfo("Europe/Moscow")

_MAPPING: Final[dict[str, Any]] = {
    "format": "csv",
    "encoding": "utf-8",
    "delimiter": ";",
    "date_formats": ["%d.%m.%Y", "iso"],
    "kind": {"column": "what", "values": {"sale": "purchase", "stop": "revoke"}},
    "event_id": "derive",
    "fields": {
        "customer": "customer",
        "at": "day",
        "product.product_type": {"column": "product", "optional": "true"},
        "product.number": "number",
    },
    "fields_by_kind": {"revoke": {"selector.all": {"constant": "true"}}},
}
_CALLERS: Final = {
    "callers": [
        {
            "name": "dialer",
            "certificate": {"dns": "dialer.example"},
            "roles": ["decision.read"],
            "calls_per_second": 10,
            "streams": 1,
        }
    ]
}
_KEYS: Final = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": "key-1",
            "use": "sig",
            "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    ]
}


class Reader(NamedTuple):
    """Something that is read: inputs, and the check of one in a directory of its own.

    `trouble` is tried in any case.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any, Path], None]
    trouble: tuple[Any, ...] = TROUBLE


def _tells_nothing(text: str) -> None:
    """Assert that a text tells the caller what is wrong, and nothing of our inside."""
    assert TELL_TALES.search(text) is None, text
    _says_something(text)


def _says_something(text: str) -> None:
    """Assert that a text, which may name a path to an operator, says something."""
    assert text.strip()
    assert "Traceback" not in text


def _catalog(text: str, _directory: Path) -> None:
    for written_as in (None, *Format):
        try:
            content = read_document(text, written_as)
        except (InvalidArgumentError, PublicationRefusedError) as refused:
            _tells_nothing(str(refused))
            continue
        _, faults = inspect_catalog(content)
        for fault in faults:
            _tells_nothing(f"{fault.problem} {fault.remedy}")
            # A message of the contract can hold it.
            str(fault).encode()


def _file(
    name: str, read: Callable[[Path], object], refusal: type[Exception]
) -> Callable[[str, Path], None]:
    """Give the check of a file that is read whole, or refused with something that helps."""

    def check(text: str, directory: Path) -> None:
        path = directory / name
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read(path)
        except refusal as refused:
            _says_something(str(refused))

    return check


def _key_set(path: Path) -> KeySet:
    return KeySet(str(path), ("ES256", "EdDSA", "RS256"))


def _csv_file(data: bytes, directory: Path) -> None:
    path = directory / "history.csv"
    path.write_bytes(b"what;customer;day;product;number\n" + data)
    _assert_adds_up(path, parse_mapping(_MAPPING))


def _json_lines(data: bytes, directory: Path) -> None:
    path = directory / "history.jsonl"
    path.write_bytes(data)
    _assert_adds_up(path, parse_mapping(_MAPPING | {"format": "jsonl"}))


def _assert_adds_up(path: Path, mapping: FileMapping) -> None:
    tally = Tally()
    try:
        for row in read(path, mapping, _ZONE, event_id_key=_KEY):
            tally.add(row)
    except ImportFailedError as refused:
        _says_something(str(refused))
        return
    assert tally.adds_up


def _token(text: str, _: Path) -> None:
    try:
        assert decode_token(text).encode() == text
    except InvalidArgumentError as refused:
        _tells_nothing(str(refused))


def _cursor(text: str, _: Path) -> None:
    for kind in CursorKind:
        try:
            assert len(decode_cursor("cursor", kind, None, text, 1)) == 1
        except InvalidArgumentError as refused:
            _tells_nothing(str(refused))


_cells: Final = st.one_of(
    st.sampled_from(["sale", "stop", "ivan", "01.02.2024", "2024-02-01", "", "0", '"', "\0"]),
    st.sampled_from(["99.99.9999", "-1", "9" * 400, "x" * 200, "=cmd()", "\u202e", "\x85", "\r"]),
    st.text(max_size=8),
)


@st.composite
def _csv_lines(draw: st.DrawFn) -> bytes:
    """Lines as a program writes them, as a careless one does, and bytes that are none."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=";", escapechar="\\")
    for row in draw(st.lists(st.lists(_cells, max_size=7), max_size=6)):
        if draw(st.booleans()):
            writer.writerow(row)
        else:
            lines.write(";".join(row) + "\n")
    text: bytes = lines.getvalue().encode("utf-8", "surrogatepass")
    return text + draw(st.binary(max_size=40))


_objects: Final = documents(json.dumps({"what": "sale", "customer": "ivan", "day": "2024-02-01"}))
_opaque: Final = st.text(st.characters(codec="ascii"), max_size=60) | st.text(max_size=20)

READERS: Final = (
    Reader("catalog", documents(json.dumps(document())), _catalog),
    Reader(
        "mapping",
        documents(json.dumps(_MAPPING)),
        _file("mapping.yaml", load_mapping, MappingInvalidError),
    ),
    Reader(
        "callers",
        documents(json.dumps(_CALLERS)),
        _file("callers.yaml", read_callers, CallersFileError),
    ),
    Reader("keys", documents(json.dumps(_KEYS)), _file("keys.json", _key_set, KeySetError)),
    Reader(
        "csv", _csv_lines(), _csv_file, tuple(text.encode(errors="replace") for text in TROUBLE)
    ),
    Reader(
        "json lines",
        st.lists(_objects, max_size=4).map(lambda rows: "\n".join(rows).encode()),
        _json_lines,
        tuple(text.encode(errors="replace") for text in TROUBLE),
    ),
    Reader("token", _opaque, _token),
    Reader("cursor", _opaque, _cursor),
)
