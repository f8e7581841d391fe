"""What has to follow from voids, merges, splits and erasures in tables of their own.

What lives here: the comparison in both directions. From an event to its row, page by page; from the
rows to events, and whatever else has to hold of all of them, each in one statement. A void is
looked up for every answer in such a table, so that whoever changes the table changes answers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from decision.events import EventKind
from store.verifying.values import Fault


class Following(Protocol):
    """Of an event: what is compared with what follows from it."""

    @property
    def event_id(self) -> str:
        """Its id."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def subject(self) -> int:
        """Whose it is."""

    @property
    def recorded_at(self) -> int:
        """When it was recorded."""

    @property
    def personal(self) -> str | None:
        """Its personal fields; none: erased."""

    @property
    def erased_at(self) -> int | None:
        """When whose it is was erased."""


_Row = TypeVar("_Row", bound=Following)

_VOIDS: Final = """
SELECT voided_event_id, event_id, recorded_at FROM event_void WHERE voided_event_id = any(%s)
"""
_LINKS: Final = """
SELECT event_id, from_subject, into_subject, recorded_at FROM merge_link WHERE event_id = any(%s)
"""
_UNDONE: Final = """
SELECT split_event_id, from_subject, undone_at FROM merge_link
WHERE from_subject = any(%s) AND split_event_id IS NOT NULL
"""
_ERASURES: Final = """
SELECT erasure.event_id, erasure.recorded_at, array_agg(subject.number ORDER BY subject.number)
FROM erasure JOIN subject ON subject.root = erasure.root AND subject.erased_at = erasure.recorded_at
WHERE erasure.event_id = any(%s) GROUP BY erasure.event_id
"""
_ERASED: Final = "SELECT number FROM subject WHERE number = any(%s) AND erased_at IS NOT NULL"


def problems_following(
    driver: Any,  # noqa: ANN401 - the driver's connection
    events: Sequence[tuple[_Row, Mapping[str, Any]]],
) -> tuple[_Row, str] | None:
    """Give the first of some events from which does not follow what should, and what that is."""
    by_kind: dict[str, list[tuple[_Row, Mapping[str, Any]]]] = {}
    for row, body in events:
        if row.kind in _COMPARED:
            by_kind.setdefault(row.kind, []).append((row, body))
    wrong: dict[str, str] = {}
    for kind, found in by_kind.items():
        wrong |= _COMPARED[kind](driver, found)
    return next(((row, wrong[row.event_id]) for row, _ in events if row.event_id in wrong), None)


_Found = Sequence[tuple[Any, Mapping[str, Any]]]


def _rows(driver: Any, statement: str, keys: Collection[object]) -> list[tuple[Any, ...]]:  # noqa: ANN401 - as above
    return list(driver.execute(statement, (list(keys),)))


def _compare_voids(driver: Any, found: _Found) -> dict[str, str]:  # noqa: ANN401 - as above
    stored = set(_rows(driver, _VOIDS, {body["voided_event_id"] for _, body in found}))
    return {
        row.event_id: "what it voids is not void by it"
        for row, body in found
        if (body["voided_event_id"], row.event_id, row.recorded_at) not in stored
    }


def _compare_merges(driver: Any, found: _Found) -> dict[str, str]:  # noqa: ANN401 - as above
    stored = set(_rows(driver, _LINKS, [row.event_id for row, _ in found]))
    wrong = {
        row.event_id: "the merge is not kept as it was recorded"
        for row, body in found
        if (row.event_id, body["from_subject"], body["into_subject"], row.recorded_at) not in stored
    }
    without = [(row, body) for row, body in found if row.personal is None and row.erased_at is None]
    erased = {
        number
        for (number,) in _rows(driver, _ERASED, {body["into_subject"] for _, body in without})
    }
    return wrong | {
        row.event_id: "its personal fields are missing, and neither customer was erased"
        for row, body in without
        if body["into_subject"] not in erased
    }


def _compare_splits(driver: Any, found: _Found) -> dict[str, str]:  # noqa: ANN401 - as above
    stored = set(_rows(driver, _UNDONE, {body["split_subject"] for _, body in found}))
    return {
        row.event_id: "the split is not kept as it was recorded"
        for row, body in found
        if (row.event_id, body["split_subject"], row.recorded_at) not in stored
    }


def _compare_erasures(driver: Any, found: _Found) -> dict[str, str]:  # noqa: ANN401 - as above
    stored = {
        (event_id, recorded_at, tuple(numbers))
        for event_id, recorded_at, numbers in _rows(
            driver, _ERASURES, [row.event_id for row, _ in found]
        )
    }
    return {
        row.event_id: "whom it erases is not erased by it"
        for row, body in found
        if (row.event_id, row.recorded_at, tuple(sorted(body["erased_subjects"]))) not in stored
    }


_COMPARED: Final[Mapping[str, Callable[[Any, _Found], dict[str, str]]]] = {
    EventKind.VOID.value: _compare_voids,
    EventKind.MERGE.value: _compare_merges,
    EventKind.SPLIT.value: _compare_splits,
    EventKind.ERASURE.value: _compare_erasures,
}


class _Question(NamedTuple):
    """A statement that gives the id of an event, if there is one, for what should not be."""

    statement: str
    problem: str


_QUESTIONS: Final = (
    _Question(
        """
        SELECT event_void.voided_event_id FROM event_void WHERE NOT EXISTS (
            SELECT FROM event WHERE event.event_id = event_void.event_id AND event.kind = 'void'
                AND event.body ->> 'voided_event_id' = event_void.voided_event_id
        ) ORDER BY 1 LIMIT 1
        """,
        "it is void, and no event voided it",
    ),
    _Question(
        """
        SELECT merge_link.event_id FROM merge_link WHERE NOT EXISTS (
            SELECT FROM event WHERE event.event_id = merge_link.event_id AND event.kind = 'merge'
        ) OR (merge_link.split_event_id IS NULL) <> (merge_link.undone_at IS NULL)
        OR (merge_link.split_event_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM event WHERE event.event_id = merge_link.split_event_id
                AND event.kind = 'split'
                AND (event.body ->> 'split_subject')::bigint = merge_link.from_subject
        )) ORDER BY 1 LIMIT 1
        """,
        "a merge is kept by it, or undone, that was not recorded so",
    ),
    _Question(
        """
        SELECT erasure.event_id FROM erasure WHERE NOT EXISTS (
            SELECT FROM event WHERE event.event_id = erasure.event_id AND event.kind = 'erasure'
        ) ORDER BY 1 LIMIT 1
        """,
        "an erasure is kept by it that was not recorded",
    ),
    _Question(
        """
        SELECT erasure.event_id FROM erasure WHERE completed_at IS NOT NULL AND EXISTS (
            SELECT FROM subject WHERE subject.root = erasure.root AND (
                EXISTS (SELECT FROM customer WHERE customer.subject = subject.number)
                OR EXISTS (
                    SELECT FROM event JOIN event_personal USING (event_id)
                    WHERE event.subject = subject.number
                )
            )
        ) ORDER BY 1 LIMIT 1
        """,
        "what is personal of whom it erased is there again, or still",
    ),
    _Question(
        # Both are one transaction.
        """
        SELECT erasure.event_id FROM erasure WHERE completed_at IS NULL AND NOT EXISTS (
            SELECT FROM subject JOIN customer ON customer.subject = subject.number
            WHERE subject.root = erasure.root
        ) ORDER BY 1 LIMIT 1
        """,
        "it is said to be under way, and what it erases is gone",
    ),
    _Question(
        """
        SELECT (
            SELECT event_id FROM merge_link
            WHERE merge_link.from_subject = bad.number OR merge_link.into_subject = bad.number
            ORDER BY recorded_at DESC LIMIT 1
        )
        FROM (
            SELECT subject.number FROM subject
            LEFT JOIN subject AS parent ON parent.number = subject.merged_into
            LEFT JOIN merge_link
                ON merge_link.from_subject = subject.number AND merge_link.undone_at IS NULL
            WHERE subject.merged_into IS DISTINCT FROM merge_link.into_subject
                OR (subject.merged_into IS NULL) <> (subject.root = subject.number)
                OR parent.root IS DISTINCT FROM
                    CASE WHEN subject.merged_into IS NOT NULL THEN subject.root END
                OR subject.named_by_merge <> (
                    subject.number IN (SELECT from_subject FROM merge_link)
                    OR subject.number IN (SELECT into_subject FROM merge_link)
                )
            ORDER BY 1 LIMIT 1
        ) AS bad
        """,
        "who is one person with whom is not what merges and splits give",
    ),
    _Question(
        """
        SELECT NULL FROM subject WHERE erased_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM erasure
            WHERE erasure.root = subject.root AND erasure.recorded_at = subject.erased_at
        ) LIMIT 1
        """,
        "somebody counts as erased, and no event erased them",
    ),
    _Question(
        """
        SELECT NULL FROM customer WHERE NOT EXISTS (
            SELECT FROM subject WHERE subject.number = customer.subject
        ) LIMIT 1
        """,
        "a customer id leads to no subject",
    ),
)

_PLACE: Final = "SELECT shard, position FROM event WHERE event_id = %s"

_ORPHANS: Final = """
SELECT event_id FROM event_personal WHERE NOT EXISTS (
    SELECT FROM event WHERE event.event_id = event_personal.event_id
) ORDER BY 1 LIMIT 1
"""


def faults_among_all(driver: Any) -> list[Fault]:  # noqa: ANN401 - the driver's connection
    """Give what stands in tables that follow from events, and follows from none."""
    found = []
    for statement, problem in _QUESTIONS:
        for (event_id,) in driver.execute(statement).fetchall():
            found.append(_placed(driver, event_id or "", problem))
    return found


def fault_of_personal(driver: Any, met: int) -> Fault | None:  # noqa: ANN401 - as above
    """Tell whether there are personal fields of what is no event; of events there are `met`."""
    [(count,)] = driver.execute("SELECT count(*) FROM event_personal").fetchall()
    if count == met:
        return None
    for (event_id,) in driver.execute(_ORPHANS).fetchall():
        return Fault("there are personal fields of it, and it is no event", event_id=event_id)
    return None


def _placed(driver: Any, event_id: str, problem: str) -> Fault:  # noqa: ANN401 - as above
    for shard, position in driver.execute(_PLACE, (event_id,)).fetchall():
        return Fault(problem, shard, position, event_id)
    return Fault(problem, event_id=event_id)
