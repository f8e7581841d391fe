"""Publishing a catalog: its checks against the ledger, its recording, and its roll-out's job.

What lives here: what happens in the moment of publication. The roll-out that follows is in
`rollout`, the comparison beforehand in `preview`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, text

from decision.catalog import Catalog
from decision.catalog_document import inspect_catalog
from decision.catalog_history import (
    CodeList,
    UsedCode,
    codes_of_wordings,
    faults_against_history,
)
from decision.document_reader import (
    FREE_TEXT_LENGTH_MAX,
    problem_of_characters,
    problem_of_identifier,
)
from decision.errors import (
    AbortedError,
    AlreadyExistsError,
    DocumentFault,
    ErrorCode,
    FieldFault,
    InvalidArgumentError,
    PublicationRefusedError,
)
from decision.instants import Instant
from store import chain
from store.code_numbers import CodeNumbers
from store.database import CATALOG_LOCK, draw_recorded_instants, reading, run_transaction
from store.floors import Narrowing
from store.handing_in import refuse_unless_handed_in
from store.outbox import narrowed_at
from store.pieces import call_workers
from store.publications import Catalogs, PublishedCatalog, load_code_numbers
from store.recording import mark_used
from store.schema import code_number, job, job_piece, publication, shard, state, used_code
from store.writing import Recording, read_recording

ROLL_OUT = "roll_out"
"""The kind of job that brings every state under a publication."""


@dataclass(frozen=True, slots=True)
class NewPublication:
    """A catalog to be published: the document as sent and as read, by whom and why.

    `expected_number` is the publication that the editor took for the newest, if it matters whether
    somebody else published in between. With `needs_four_eyes` somebody else has to have handed the
    document in.
    """

    publication_id: str
    document: str
    content: object
    publisher: str
    comment: str
    expected_number: int | None = None
    needs_four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class PublicationRecorded:
    """A publication that stands in the ledger, now or since an earlier time.

    `narrowing` is never empty: a publication may take away from anybody.
    """

    number: int
    recorded_at: Instant
    is_repeated: bool
    epoch: int
    is_epoch_settled: bool
    narrowing: Narrowing


def validate(
    engine: Engine, catalogs: Catalogs, content: object
) -> tuple[int, list[DocumentFault]]:
    """List every fault of a document, after the number of the publication it was held against."""
    document = read_document(content)
    with reading(engine) as connection:
        newest = catalogs.newest_in(connection)
        return newest.number, _all_faults(connection, document, newest)


class ReadDocument(NamedTuple):
    """A document as it was read, with the faults that it has in itself."""

    catalog: Catalog
    faults: Sequence[DocumentFault]


def read_document(content: object) -> ReadDocument:
    """Read a document; done before any lock is taken, as a large one takes its time."""
    return ReadDocument(*inspect_catalog(content))


def _all_faults(
    connection: Connection, document: ReadDocument, newest: PublishedCatalog
) -> list[DocumentFault]:
    used = _used_codes(connection)
    return [
        *document.faults,
        *faults_against_history(document.catalog, newest.catalog, used),
    ]


def _used_codes(connection: Connection) -> set[UsedCode]:
    return {
        UsedCode(CodeList(row.code_list), row.code, row.consent_type)
        for row in connection.execute(select(used_code))
    }


def check_document(
    connection: Connection, document: ReadDocument, newest: PublishedCatalog
) -> PublishedCatalog:
    """Give a document as the publication it would be.

    Raises PublicationRefusedError with every fault there is.
    """
    faults = _all_faults(connection, document, newest)
    if faults:
        raise PublicationRefusedError(faults)
    numbers = load_code_numbers(connection).with_codes_of(document.catalog)
    return PublishedCatalog(
        newest.number + 1, newest.epoch, newest.recorded_at, document.catalog, numbers
    )


def publish(engine: Engine, catalogs: Catalogs, new: NewPublication) -> PublicationRecorded:
    """Record a publication; from then on it counts for every question asked with that knowledge.

    Raises PublicationRefusedError for a faulty document, AlreadyExistsError when the publication id
    is taken by another one, AbortedError when the newest publication is not the one expected, and
    PreconditionError without the four eyes that are needed.
    """
    _check(new)
    document = read_document(new.content)
    published: list[PublishedCatalog] = []

    def work(connection: Connection) -> PublicationRecorded:
        published.clear()
        return _publish(connection, catalogs, new, document, published.append)

    recorded = run_transaction(engine, work)
    for loaded in published:
        catalogs.remember(loaded)
    return recorded


def _check(new: NewPublication) -> None:
    faults = [
        FieldFault(field, problem)
        for field, problem in (
            ("publication_id", problem_of_identifier(new.publication_id)),
            ("publisher", problem_of_identifier(new.publisher)),
            ("comment", problem_of_characters(new.comment.replace("\n", " "))),
        )
        if problem
    ]
    if len(new.comment) > FREE_TEXT_LENGTH_MAX:
        faults.append(FieldFault("comment", f"{FREE_TEXT_LENGTH_MAX} characters are the most"))
    if faults:
        raise InvalidArgumentError(*faults)


def _publish(
    connection: Connection,
    catalogs: Catalogs,
    new: NewPublication,
    document: ReadDocument,
    keep: Callable[[PublishedCatalog], None],
) -> PublicationRecorded:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CATALOG_LOCK})
    recording = read_recording(connection, catalogs)
    newest = recording.published
    earlier = connection.execute(
        select(publication).where(publication.c.publication_id == new.publication_id)
    ).one_or_none()
    if earlier is not None:
        return _repeated(connection, catalogs, earlier, new, recording)
    if new.expected_number not in (None, newest.number):
        message = (
            f"publication {newest.number} is the newest, not {new.expected_number}: "
            "look at what was published in between"
        )
        raise AbortedError(
            message,
            ErrorCode.PUBLICATION_OUTDATED,
            {"field": "expected_number", "newest_number": str(newest.number)},
        )
    if new.needs_four_eyes:
        refuse_unless_handed_in(connection, new.document, newest.number, new.publisher)
    published = check_document(connection, document, newest)
    recorded_at = draw_recorded_instants(connection, 1)
    narrowed = _narrowed_at(published.catalog, recorded_at)
    _append(connection, published.number, recorded_at, narrowed, new)
    _keep_numbers(connection, published.numbers)
    mark_used(connection, codes_of_wordings(published.catalog))
    _start_roll_out(connection, published.number, recorded_at)
    call_workers(connection)
    keep(replace(published, recorded_at=recorded_at))
    return _recorded(published.catalog, published.number, recorded_at, recording)


def _recorded(
    catalog: Catalog,
    number: int,
    recorded_at: Instant,
    recording: Recording,
    *,
    is_repeated: bool = False,
) -> PublicationRecorded:
    return PublicationRecorded(
        number,
        recorded_at,
        is_repeated=is_repeated,
        epoch=recording.epoch,
        is_epoch_settled=recording.is_epoch_settled,
        narrowing=Narrowing(
            recording.epoch, publication=number, narrowed_at=_narrowed_at(catalog, recorded_at)
        ),
    )


def _narrowed_at(catalog: Catalog, recorded_at: Instant) -> Instant:
    """Tell what counts as now: who suspends a partner "now" may have a clock ahead of ours."""
    suspended_from = [
        partner.suspension.start
        for partner in catalog.partners.values()
        if partner.suspension is not None
    ]
    return max((narrowed_at(recorded_at, at) for at in suspended_from), default=recorded_at)


def _repeated(
    connection: Connection,
    catalogs: Catalogs,
    earlier: Row[Any],
    new: NewPublication,
    recording: Recording,
) -> PublicationRecorded:
    if earlier.content != new.content:
        message = f"the publication id {new.publication_id!r} is taken by another document"
        raise AlreadyExistsError(
            message,
            ErrorCode.PUBLICATION_ID_TAKEN,
            {"field": "publication_id", "publication_id": new.publication_id},
        )
    catalog = catalogs.by_number(connection, earlier.number).catalog
    return _recorded(catalog, earlier.number, earlier.recorded_at, recording, is_repeated=True)


def _append(
    connection: Connection,
    number: int,
    recorded_at: Instant,
    narrowed: Instant,
    new: NewPublication,
) -> None:
    previous_hash = connection.scalar(
        select(publication.c.hash).order_by(publication.c.number.desc()).limit(1)
    )
    chained = {
        "number": number,
        "publication_id": new.publication_id,
        "document": new.document,
        "content": new.content,
        "publisher": new.publisher,
        "comment": new.comment,
        "recorded_at": recorded_at,
        "narrowed_at": narrowed,
    }
    before = bytes(previous_hash) if previous_hash is not None else chain.GENESIS
    connection.execute(
        insert(publication).values(
            **chained,
            previous_hash=before,
            hash=chain.link(before, chain.canonical_json(chained)),
        )
    )


def _keep_numbers(connection: Connection, numbers: CodeNumbers) -> None:
    kept = set(load_code_numbers(connection).items())
    added = [
        {"code_list": code_list.value, "code": code, "number": number}
        for code_list, code, number in numbers.items()
        if (code_list, code, number) not in kept
    ]
    if added:
        connection.execute(insert(code_number), added)


def _start_roll_out(connection: Connection, number: int, recorded_at: Instant) -> None:
    """Lay out the pieces of the roll-out; it covers what is left of an older one."""
    connection.execute(delete(job_piece).where(job_piece.c.is_done.is_(False)))
    job_number = connection.scalar(
        insert(job)
        .values(kind=ROLL_OUT, publication=number, created_at=recorded_at)
        .returning(job.c.number)
    )
    totals = select(state.c.shard, func.count().label("total")).group_by(state.c.shard).subquery()
    connection.execute(
        insert(job_piece).from_select(
            [
                "job",
                "shard",
                "next_subject",
                "subjects_total",
                "subjects_done",
                "subjects_changed",
                "is_done",
            ],
            select(
                text(str(job_number)),
                shard.c.number,
                text("0"),
                func.coalesce(totals.c.total, 0),
                text("0"),
                text("0"),
                # Whoever comes from now on is folded under this publication at once.
                totals.c.total.is_(None),
            ).select_from(shard.outerjoin(totals, totals.c.shard == shard.c.number)),
        )
    )
