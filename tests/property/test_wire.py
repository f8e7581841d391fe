"""What is written as the wire format of protobuf is read as what was meant."""

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from maywe.v1 import common_pb2, decision_pb2, event_pb2

from decision.instants import EARLIEST, FOREVER, LATEST
from service.conversion import wire, wire_columns, writing

pytestmark = pytest.mark.property

SECOND = 1_000_000
instants = st.integers(EARLIEST, LATEST) | st.integers(-3000, 4000).map(lambda one: one * SECOND)
instants |= st.sampled_from(
    [0, 1, FOREVER, *(edge * SECOND + by for edge in (2**28, 2**35) for by in (-SECOND, -1, 0, 1))]
)
instants |= st.integers(2**28, 2**35).map(lambda seconds: seconds * SECOND)


@given(st.lists(instants, min_size=1))
@example([2**30 * SECOND + 2**bits for bits in range(20)])
def test_instants_written_together_are_those_written_one_by_one(given_instants: list[int]) -> None:
    """To the byte, as protobuf itself writes them; one that is for ever is absent."""
    field = decision_pb2.MayContactResponse.NOT_AFTER_FIELD_NUMBER
    written = wire_columns.timestamps(field, np.array(given_instants, np.int64))
    assert written == [
        decision_pb2.MayContactResponse(
            not_after=writing.optional_timestamp(instant)
        ).SerializeToString()
        for instant in given_instants
    ]
    assert written == [wire.timestamp(field, instant) for instant in given_instants]


@given(st.text(max_size=300), st.integers(0, 2**63 - 1))
def test_texts_and_numbers_are_written_as_protobuf_writes_them(text: str, number: int) -> None:
    """Long ones, others than ASCII, and empty ones, which are absent."""
    assert (
        wire.text(common_pb2.Product.NUMBER_FIELD_NUMBER, text.encode())
        == common_pb2.Product(number=text).SerializeToString()
    )
    assert (
        wire.number(Timestamp.SECONDS_FIELD_NUMBER, number)
        == Timestamp(seconds=number).SerializeToString()
    )
    assert wire.rising_varint(number) == wire.varint(number)


@given(st.integers(0, 2**31 - 1))
def test_a_number_that_is_given_may_be_zero(number: int) -> None:
    """A field that says whether it is there is written even when it is at its default."""
    assert (
        wire.given_number(event_pb2.RecordConsentRequest.WORDING_VERSION_FIELD_NUMBER, number)
        == event_pb2.RecordConsentRequest(wording_version=number).SerializeToString()
    )
