"""Messages between writers and decision processes: what is written is read, all else refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.control.messages import (
    RaiseFloorsRequest,
    UnreadableMessageError,
    decode_request,
    encode_request,
)
from store.floors import CustomerFloor, Narrowing

# What protobuf takes for a string is what UTF-8 can write.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)
NARROWINGS = st.builds(
    Narrowing,
    epoch=NUMBERS,
    customers=st.lists(st.builds(CustomerFloor, TEXTS, NUMBERS, NUMBERS), max_size=3).map(tuple),
    publication=NUMBERS,
    narrowed_at=st.integers(-(2**63), 2**63 - 1),
)


@given(TEXTS, st.lists(NARROWINGS, max_size=3))
def test_a_request_is_read_as_it_was_written(process_id: str, narrowings: list[Narrowing]) -> None:
    """Whatever the ids are made of."""
    request = RaiseFloorsRequest(process_id, narrowings)
    assert decode_request(encode_request(request)) == request


CHANGES: list[dict[str, Any]] = [
    {"epoch": "1"},
    {"epoch": True},
    {"epoch": 1.0},
    {"publication": None},
    {"customers": [["olga", 2]]},
    {"customers": [["olga", 2, 3, 4]]},
    {"customers": [[1, 2, 3]]},
    {"customers": [["olga", True, 3]]},
    {"customers": ["olg"]},
    {"partners": []},
]


def document(**changed: Any) -> dict[str, Any]:
    """A request with one narrowing, in which something is changed."""
    fields = {"epoch": 1, "customers": [["olga", 2, 3]], "publication": 0, "narrowed_at": 0}
    return {"process_id": "p", "narrowings": [fields | changed]}


def test_the_document_that_the_faulty_ones_are_made_of_is_read() -> None:
    """Else the next test would prove nothing."""
    request = decode_request(json.dumps(document()).encode())
    assert request.narrowings == [Narrowing(1, (CustomerFloor("olga", 2, 3),), narrowed_at=0)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        json.dumps({"process_id": 1, "narrowings": []}).encode(),
        json.dumps({"process_id": "p", "narrowings": {}}).encode(),
        json.dumps({"process_id": "p", "narrowings": [], "suspensions": []}).encode(),
        *(json.dumps(document(**changes)).encode() for changes in CHANGES),
    ],
)
def test_what_is_not_understood_to_the_end_is_refused(data: bytes) -> None:
    """A field too many as well: a process may not answer as if it heeded it."""
    with pytest.raises(UnreadableMessageError):
        decode_request(data)
