"""ConsentService: the card, the events, the unmatched purchases and the stream of changes.

What lives here: the calls' own rules, such as pages and cursors. It records nothing.
"""

import threading
import time
from collections.abc import Iterator
from typing import Final

import grpc
from maywe.v1 import consent_pb2, consent_pb2_grpc

from decision.card import allowed_scopes, summarise
from decision.errors import FieldFault, InvalidArgumentError
from decision.event_rules import check_identifier
from decision.evidence import shown_grants, shown_restrictions
from decision.instants import BEGINNING, Instant
from service.application import Application
from service.conversion.evidence import (
    consent_summary_message,
    publication_message,
    recorded_event_message,
    restriction_message,
    unmatched_message,
    watch_message,
)
from service.conversion.timestamps import timestamp
from service.conversion.writing import scope_answer_message
from service.errors import ShuttingDownError
from service.servicers.explaining import asked_instants
from store.clocks import wall_clock
from store.cursors import CursorKind, decode_cursor, encode_cursor
from store.database import reading
from store.feed import ChangeFeed, FeedPage, FeedPosition, decode_position
from store.history import find_recorded, list_event_ids
from store.knowledge import (
    draw_now,
    load_knowledge,
    members_known_at,
    wait_for_everybody,
    wait_for_person,
)
from store.publications import get_publication
from store.unmatched import list_unmatched

PAGE_SIZE_MAX: Final = 1000
PAGE_SIZE_DEFAULT: Final = 100

HEARTBEAT_SECONDS: Final = 10.0
"""Whoever watches hears from us at least so often."""

WATCH_POLL_SECONDS: Final = 0.1
"""How often the outboxes are looked at for one who watches."""


class ConsentServicer(consent_pb2_grpc.ConsentServiceServicer):
    """Shows consents, events and changes from the ledger."""

    def __init__(self, application: Application) -> None:
        """Serve from the ledger of `application`."""
        self._application = application
        self._engine = application.engine
        self._catalogs = application.catalogs
        self._feed = ChangeFeed(application.engine, application.catalogs)

    def GetConsentCard(
        self, request: consent_pb2.GetConsentCardRequest, context: grpc.ServicerContext
    ) -> consent_pb2.GetConsentCardResponse:
        """Show the overall picture of a customer's consents."""
        check_identifier("customer_id", request.customer_id)
        valid_at, known_at, _ = asked_instants(self._application, request)
        wait_for_person(self._engine, request.customer_id, [known_at])
        with reading(self._engine) as connection:
            known = load_knowledge(connection, self._catalogs, request.customer_id, known_at)
            catalog_then = self._catalogs.known_at(connection, min(valid_at, known_at)).catalog
            number = known.published.number
            publication = get_publication(connection, number) if number else None
        picture = known.picture
        is_known = picture.folded.is_known
        grants = shown_grants(picture, catalog_then, valid_at, None)
        return consent_pb2.GetConsentCardResponse(
            canonical_customer_id=known.canonical_customer_id if is_known else "",
            customer_ids=known.customer_ids if is_known else (),
            valid_at=timestamp(valid_at),
            known_at=timestamp(known_at),
            zone=known.published.catalog.zone.key if number else "",
            consents=map(consent_summary_message, summarise(grants, valid_at)),
            allowed_scopes=[
                scope_answer_message(scope, answer)
                for scope, answer in allowed_scopes(picture, valid_at)
            ],
            restrictions=map(restriction_message, shown_restrictions(picture, None)),
            publication=None if publication is None else publication_message(publication),
        )

    def ListEvents(
        self, request: consent_pb2.ListEventsRequest, context: grpc.ServicerContext
    ) -> consent_pb2.ListEventsResponse:
        """List a page of events in the order recorded."""
        page = _PageRequest(CursorKind.EVENTS, request)
        until = self._settled_now(page.customer_id)
        with reading(self._engine) as connection:
            subjects = None
            if page.customer_id is not None:
                members = members_known_at(connection, page.customer_id, until)
                subjects = [member.number for member in members]
            # One more than fits tells whether anything follows.
            found = list_event_ids(connection, subjects, page.after, until, page.size + 1)
            shown = found[: page.size]
            recorded = find_recorded(connection, [event_id for _, event_id in shown], until)
        return consent_pb2.ListEventsResponse(
            events=map(recorded_event_message, recorded),
            next_page_token=page.token_after(shown[-1][0]) if len(found) > len(shown) else "",
        )

    def ListUnmatchedPurchases(
        self, request: consent_pb2.ListUnmatchedPurchasesRequest, context: grpc.ServicerContext
    ) -> consent_pb2.ListUnmatchedPurchasesResponse:
        """List a page of the events that wait for a publication, in the order recorded."""
        page = _PageRequest(CursorKind.UNMATCHED, request)
        until = self._settled_now(page.customer_id)
        found = list_unmatched(
            self._engine, self._catalogs, page.customer_id, page.after, until, page.size
        )
        return consent_pb2.ListUnmatchedPurchasesResponse(
            unmatched_purchases=map(unmatched_message, found.events),
            next_page_token="" if found.next_after is None else page.token_after(found.next_after),
        )

    def WatchChanges(
        self, request: consent_pb2.WatchChangesRequest, context: grpc.ServicerContext
    ) -> Iterator[consent_pb2.WatchChangesResponse]:
        """Stream changes until the caller goes or the server stops.

        Nothing is read ahead: a page is read when the one before was taken.
        """
        position = _begin_watching(self._feed, request)
        has_gone = threading.Event()
        context.add_callback(has_gone.set)
        yield watch_message(FeedPage((), position), wall_clock())
        sent_at = time.monotonic()
        while context.is_active():
            if self._application.stopping.is_set():
                raise ShuttingDownError
            pages, read_to = (
                self._feed.read(position) if self._feed.has_more(position) else ([], position)
            )
            if not pages and time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
                pages = [FeedPage((), read_to)]
            for page in pages:
                yield watch_message(page, wall_clock())
                sent_at = time.monotonic()
            if read_to == position:
                has_gone.wait(WATCH_POLL_SECONDS)
            position = read_to

    def _settled_now(self, customer_id: str | None) -> Instant:
        """Give an instant up to which nothing is recorded any more that a page could miss."""
        now = draw_now(self._engine)
        if customer_id is None:
            wait_for_everybody(self._engine)
        else:
            wait_for_person(self._engine, customer_id, [now])
        return now


class _PageRequest:
    """What is asked of a list in pages: whose, how many, after what."""

    def __init__(
        self,
        kind: CursorKind,
        request: consent_pb2.ListEventsRequest | consent_pb2.ListUnmatchedPurchasesRequest,
    ) -> None:
        """Read the request. Raises InvalidArgumentError."""
        self.customer_id = None
        if request.HasField("customer_id"):
            check_identifier("customer_id", request.customer_id)
            self.customer_id = request.customer_id
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            problem = f"has to lie between 1 and {PAGE_SIZE_MAX}, or be left out"
            raise InvalidArgumentError(FieldFault("page_size", problem))
        self.size = request.page_size or PAGE_SIZE_DEFAULT
        self._kind = kind
        self.after = BEGINNING
        if request.page_token:
            (self.after,) = decode_cursor(
                "page_token", kind, self.customer_id, request.page_token, 1
            )

    def token_after(self, recorded_at: Instant) -> str:
        """Give the token of the page that follows."""
        return encode_cursor(self._kind, self.customer_id, [recorded_at])


def _begin_watching(feed: ChangeFeed, request: consent_pb2.WatchChangesRequest) -> FeedPosition:
    if not request.cursor:
        return feed.begin(from_oldest=request.from_oldest)
    if request.from_oldest:
        problem = "has to be false with a cursor, which says where to begin"
        raise InvalidArgumentError(FieldFault("from_oldest", problem))
    return decode_position(request.cursor)
