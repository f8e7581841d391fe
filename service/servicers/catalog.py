"""CatalogService: reading, checking, previewing and publishing the catalog."""

from typing import Final

import grpc
from maywe.v1 import catalog_pb2, catalog_pb2_grpc

from decision.errors import (
    DocumentFault,
    ErrorCode,
    FieldFault,
    InvalidArgumentError,
    NotFoundError,
    NotPermittedError,
    PublicationRefusedError,
    UnavailableError,
)
from service.access.gate import calling
from service.access.roles import CUSTOMER_NAME
from service.application import Application
from service.conversion.catalogs import (
    fault_message,
    format_value,
    preview_message,
    read_content,
    rollout_message,
)
from service.conversion.evidence import publication_message
from service.conversion.reading import optional_instant
from service.servicers.acknowledging import Acknowledger
from store.cursors import CursorKind, decode_cursor, encode_cursor
from store.database import reading
from store.handing_in import hand_in
from store.knowledge import draw_now, refuse_future
from store.preview import preview
from store.publications import get_publication, list_newest_publications
from store.publishing import NewPublication, publish, validate
from store.rollout import progress_of
from store.sharding import SHARD_COUNT
from store.writing import begin_recording

PAGE_SIZE_MAX: Final = 1000
PAGE_SIZE_DEFAULT: Final = 100

SAMPLE_SIZE_MAX: Final = 100
SAMPLE_SIZE_DEFAULT: Final = 10

NUMBER_MAX: Final = 2**31 - 1
"""No publication has a higher number."""


class CatalogServicer(catalog_pb2_grpc.CatalogServiceServicer):
    """Reads, checks, previews and publishes catalogs."""

    def __init__(self, application: Application) -> None:
        """Publish into the ledger of an application."""
        self._application = application
        self._acknowledger = Acknowledger(application)

    def GetCatalog(
        self, request: catalog_pb2.GetCatalogRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetCatalogResponse:
        """Read the catalog as it is published, or as it was at an earlier instant."""
        engine, catalogs = self._application.engine, self._application.catalogs
        known_at = optional_instant("known_at", request)
        if known_at is not None:
            refuse_future(known_at, draw_now(engine))
        with reading(engine) as connection:
            # Waits for a publication under way, which may have been recorded before that instant.
            newest = begin_recording(connection, catalogs).published
            known = newest if known_at is None else catalogs.known_at(connection, known_at)
            if not known.number:
                field = "" if known_at is None else "known_at"
                message = "no catalog was published by then"
                raise NotFoundError(message, ErrorCode.PUBLICATION_NOT_FOUND, {"field": field})
            publication = get_publication(connection, known.number)
        return catalog_pb2.GetCatalogResponse(
            publication=publication_message(publication),
            document=publication.document,
            format=format_value(publication.document),
        )

    def ListPublications(
        self, request: catalog_pb2.ListPublicationsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.ListPublicationsResponse:
        """List a page of publications, the newest first."""
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            problem = f"{request.page_size} is not from 1 to {PAGE_SIZE_MAX}"
            raise InvalidArgumentError(FieldFault("page_size", problem))
        size = request.page_size or PAGE_SIZE_DEFAULT
        below = NUMBER_MAX
        if request.page_token:
            (token_below,) = decode_cursor(
                "page_token", CursorKind.PUBLICATIONS, None, request.page_token, 1
            )
            # Whoever made it up may have put any number in.
            below = min(max(token_below, 0), NUMBER_MAX)
        with reading(self._application.engine) as connection:
            # One more than fits tells whether anything follows.
            found = list_newest_publications(connection, below, size + 1)
        shown = found[:size]
        return catalog_pb2.ListPublicationsResponse(
            publications=map(publication_message, shown),
            next_page_token=(
                encode_cursor(CursorKind.PUBLICATIONS, None, [shown[-1].number])
                if len(found) > size
                else ""
            ),
        )

    def ValidateCatalog(
        self, request: catalog_pb2.ValidateCatalogRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.ValidateCatalogResponse:
        """List every fault of a document."""
        engine, catalogs = self._application.engine, self._application.catalogs
        faults: list[DocumentFault]
        try:
            content = read_content(request)
        except PublicationRefusedError as error:
            base_number, faults = catalogs.refresh().number, list(error.faults)
        else:
            base_number, faults = validate(engine, catalogs, content)
        return catalog_pb2.ValidateCatalogResponse(
            faults=map(fault_message, faults), base_number=base_number
        )

    def PreviewPublication(
        self, request: catalog_pb2.PreviewPublicationRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.PreviewPublicationResponse:
        """Work out who would gain and lose what if a document were published now."""
        sample_size = (
            request.sample_size if request.HasField("sample_size") else SAMPLE_SIZE_DEFAULT
        )
        if not 0 <= sample_size <= SAMPLE_SIZE_MAX:
            problem = f"{sample_size} is not from 0 to {SAMPLE_SIZE_MAX}"
            raise InvalidArgumentError(FieldFault("sample_size", problem))
        caller = calling()
        if request.hand_in and not caller:
            problem = "needs callers that are identified, so that two can be told apart"
            raise InvalidArgumentError(FieldFault("hand_in", problem))
        if request.hand_in:
            _refuse_customer(caller)
        found = preview(
            self._application.engine,
            self._application.catalogs,
            read_content(request),
            sample_size,
            # It may take minutes, for which neither a shutdown nor an absent caller waits.
            lambda: self._application.stopping.is_set() or not context.is_active(),
        )
        if request.hand_in:
            hand_in(self._application.engine, request.document, found.base_number, caller)
        return preview_message(found)

    def Publish(
        self, request: catalog_pb2.PublishRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.PublishResponse:
        """Publish a document as a whole, or refuse it as a whole."""
        if request.HasField("expected_number") and request.expected_number < 0:
            problem = f"{request.expected_number} is no number of a publication; 0 is none"
            raise InvalidArgumentError(FieldFault("expected_number", problem))
        recorded = publish(
            self._application.engine,
            self._application.catalogs,
            NewPublication(
                publication_id=request.publication_id,
                document=request.document,
                content=read_content(request),
                publisher=_publisher(request.publisher, calling()),
                comment=request.comment,
                expected_number=(
                    request.expected_number if request.HasField("expected_number") else None
                ),
                needs_four_eyes=self._application.settings.is_four_eyes,
            ),
        )
        return catalog_pb2.PublishResponse(
            acknowledgement=self._acknowledger.acknowledge_publication(recorded, context),
            number=recorded.number,
        )

    def GetPublication(
        self, request: catalog_pb2.GetPublicationRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetPublicationResponse:
        """Read one publication and how far its roll-out has come."""
        number = request.number
        if number < 1:
            raise InvalidArgumentError(FieldFault("number", "has to be 1 or more"))
        with reading(self._application.engine) as connection:
            publication = get_publication(connection, number)
            progress = progress_of(connection, number)
        return catalog_pb2.GetPublicationResponse(
            publication=publication_message(publication),
            rollout=rollout_message(
                progress,
                is_in_cache=self._is_in_cache(number),
                effective_at=progress.completed_at,
            ),
        )

    def _is_in_cache(self, number: int) -> bool:
        """Tell whether Redis shows every shard under a publication; one that is down shows none."""
        try:
            metas = self._application.cache.read_metas()
        except UnavailableError:
            return False
        return len(metas) == SHARD_COUNT and all(
            meta is not None and meta.publication >= number for meta in metas.values()
        )


def _publisher(said: str, caller: str) -> str:
    """Give who publishes: the caller, where callers are identified, and nobody else."""
    _refuse_customer(caller)
    if caller and said not in ("", caller):
        message = "the publisher is the caller and nobody else: leave it out"
        raise NotPermittedError(message)
    return caller or said


def _refuse_customer(caller: str) -> None:
    """Let nobody answer for a catalog under the one name that all customers have."""
    if caller == CUSTOMER_NAME:
        message = (
            "a catalog is answered for by name, and who is a customer too is recorded without one: "
            "use a token without a role customer:<id>"
        )
        raise NotPermittedError(message)
