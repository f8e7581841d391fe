"""Conversion: events survive the way through their messages; faults name every field."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from maywe.v1 import common_pb2, event_pb2

from decision.catalog import EMPTY_CATALOG
from decision.errors import InvalidArgumentError
from decision.events import (
    Acquisition,
    Body,
    Consent,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.instants import EARLIEST, FOREVER, LATEST
from decision.products import Product
from decision.scopes import ScopeKind
from decision.selectors import Selector
from service.conversion.reading import optional_instant, read_any_event
from service.conversion.writing import event_message

instants = st.integers(EARLIEST, LATEST)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
maybe = st.just("") | texts
products = st.builds(Product, texts, maybe, maybe, maybe)
selectors = st.builds(
    Selector,
    st.booleans(),
    st.none() | st.sampled_from(ScopeKind),
    maybe,
    maybe,
    maybe,
    maybe,
    maybe,
    maybe,
)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(Purchase, instants, products),
    st.builds(ProductClosing, instants, products),
    st.builds(
        Consent,
        instants,
        texts,
        texts,
        st.none() | st.integers(1, 2**31 - 1),
        st.none() | instants,
        st.none() | products,
    ),
    st.builds(Revocation, instants, selectors),
    st.builds(Restriction, instants, instants | st.just(FOREVER), texts, selectors),
    st.builds(Lifting, instants, texts),
    st.builds(Acquisition, instants, texts),
    st.builds(Void, texts, texts),
    st.builds(Merge, texts, texts),
    st.builds(Split, texts),
)
sources = st.builds(Source, maybe, maybe, maybe, maybe)


@st.composite
def events(draw: st.DrawFn) -> NewEvent:
    """An event of any kind; those that name their customers in the body have no other."""
    body = draw(bodies)
    customer_id = "" if isinstance(body, Void | Merge | Split) else draw(texts)
    return NewEvent(draw(texts), customer_id, body, draw(sources))


@given(events())
def test_an_event_survives_the_way_through_its_message(event: NewEvent) -> None:
    """Nothing is lost, added or changed."""
    data = event_message(event).SerializeToString()
    assert read_any_event(event_pb2.Event.FromString(data), EMPTY_CATALOG) == event


def test_an_event_that_is_none_is_refused() -> None:
    """The oneof is empty."""
    with pytest.raises(InvalidArgumentError) as raised:
        read_any_event(event_pb2.Event(), EMPTY_CATALOG)
    assert [fault.field for fault in raised.value.faults] == ["event"]


def test_faults_of_the_message_and_of_its_content_come_together() -> None:
    """Each field once."""
    request = event_pb2.RestrictRequest(
        event_id="e",
        customer_id="",
        kind="",
        selector=common_pb2.Selector(purpose="", kind=9),  # type: ignore[arg-type]  # what a newer client may send
        effective_until=Timestamp(nanos=-5),
    )
    with pytest.raises(InvalidArgumentError) as raised:
        read_any_event(event_pb2.Event(restriction=request), EMPTY_CATALOG)
    assert [fault.field for fault in raised.value.faults] == [
        "effective_until",
        "effective_from",
        "selector.kind",
        "selector.purpose",
        "customer_id",
        "kind",
    ]


def test_an_absent_instant_is_none() -> None:
    """Absent is not the beginning of 1970."""
    request = event_pb2.RecordConsentRequest()
    assert optional_instant("expires_at", request) is None
    request.expires_at.SetInParent()
    assert optional_instant("expires_at", request) == 0
