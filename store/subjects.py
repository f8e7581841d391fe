"""Subjects: the surrogates of customer ids, who is one person with whom, and their locks.

What lives here: finding, making and locking subjects, as now. How merges were known in the past is
in `knowledge`. A person is a root subject with all subjects whose chain of merges ends in it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Label,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from store.database import (
    Query,
    Question,
    RetryTransactionError,
    Rows,
    ask,
    insert_rows,
    send,
    text_array,
)
from store.schema import customer, merge_link, shard, state, subject
from store.sharding import shard_of


class Member(NamedTuple):
    """One customer id of a person. An erased one has an empty id."""

    subject: int
    shard: int
    customer_id: str


class Person(NamedTuple):
    """A root subject, locked by the transaction that found it, with all that are merged into it.

    One that `is_new` was made by this transaction: nothing of it is kept yet.
    """

    root: int
    members: Sequence[Member]
    is_named_by_merge: bool
    is_new: bool = False
    is_erased: bool = False

    @property
    def customer_ids(self) -> Sequence[str]:
        """The ids that are not erased."""
        return [member.customer_id for member in self.members if member.customer_id]


# Built once: building costs as much as sending, and every write sends these.
FIND_SUBJECTS: Final = Query(
    select(customer.c.customer_id, customer.c.subject).where(
        customer.c.customer_id == func.any(bindparam("customer_ids"))
    )
)
"""The subjects of `customer_ids`, for `subjects_of_rows`."""
# In the order of the ids, so that two transactions can not wait for each other.
_MAKE_CUSTOMERS: Final = Query(
    text(
        """
        INSERT INTO customer (customer_id, subject)
        SELECT customer_id, nextval('subject_number')
        FROM (
            SELECT customer_id
            FROM unnest(CAST(:customer_ids AS text[])) WITH ORDINALITY AS new (customer_id, place)
            ORDER BY place
        ) AS in_order
        ON CONFLICT DO NOTHING
        RETURNING customer_id, subject
        """
    )
)
ROOTS_OF_SUBJECTS: Final = func.array(
    select(subject.c.root)
    .where(subject.c.number == func.any(bindparam("subjects")))
    .scalar_subquery()
)
_LOCKED_ROOTS: Final = Query(
    select(subject.c.number, subject.c.root)
    .where(subject.c.number == func.any(ROOTS_OF_SUBJECTS))
    .order_by(subject.c.number)
    .with_for_update()
)


def customer_id_of(number: Column[int]) -> Label[str]:
    """Give the column `customer_id` for a column of subjects; none where it was erased.

    It is not a join, for which PostgreSQL may read the whole table: see `ledger`.
    """
    return (
        select(customer.c.customer_id)
        .where(customer.c.subject == number)
        .scalar_subquery()
        .label("customer_id")
    )


_PERSONS_COLUMNS: Final = select(
    subject.c.root,
    subject.c.number,
    subject.c.shard,
    subject.c.named_by_merge,
    subject.c.erased_at,
    customer_id_of(subject.c.number),
).order_by(subject.c.number)
_PERSONS: Final = Query(_PERSONS_COLUMNS.where(subject.c.root == func.any(bindparam("roots"))))
_PERSONS_OF_SUBJECTS: Final = Query(
    _PERSONS_COLUMNS.where(subject.c.root == func.any(ROOTS_OF_SUBJECTS))
)
_LOCKED_SHARDS: Final = Query(
    select(
        shard.c.number,
        shard.c.seq,
        shard.c.chain_length,
        shard.c.chain_hash,
        shard.c.incarnation,
    )
    .where(shard.c.number == func.any(bindparam("numbers")))
    .order_by(shard.c.number)
    .with_for_update()
)
_MOVE_SHARDS: Final = Query(
    text(
        """
        UPDATE shard SET seq = moved.seq, chain_length = moved.length, chain_hash = moved.hash
        FROM unnest(
            CAST(:numbers AS smallint[]), CAST(:seqs AS bigint[]),
            CAST(:lengths AS bigint[]), CAST(:hashes AS bytea[])
        ) AS moved (number, seq, length, hash)
        WHERE shard.number = moved.number
        """
    )
)


def find_subjects(connection: Connection, customer_ids: Collection[str]) -> dict[str, int]:
    """Give the subject of each customer id that has one."""
    [rows] = ask(connection, [FIND_SUBJECTS(customer_ids=text_array(customer_ids))])
    return subjects_of_rows(rows)


def subjects_of_rows(rows: Rows) -> dict[str, int]:
    """Give subjects by customer id from the rows that name them."""
    return {row.customer_id: row.subject for row in rows}


def find_roots(connection: Connection, subjects: Collection[int]) -> dict[int, int]:
    """Give the root of each subject."""
    rows = connection.execute(
        select(subject.c.number, subject.c.root).where(subject.c.number == func.any(list(subjects)))
    )
    return {row.number: row.root for row in rows}


def find_or_make_subjects(
    connection: Connection, customer_ids: Collection[str]
) -> Mapping[str, int]:
    """Give the subject of each customer id, making those that are new."""
    found = find_subjects(connection, customer_ids)
    return make_missing_subjects(connection, customer_ids, found).subjects


class Subjects(NamedTuple):
    """Subjects by customer id, and the persons among them who are new, by root.

    Nobody else sees the new ones before this transaction commits, so they need no lock.
    """

    subjects: Mapping[str, int]
    made: Mapping[int, Person]


def make_missing_subjects(
    connection: Connection, customer_ids: Collection[str], found: Mapping[str, int]
) -> Subjects:
    """Give the subject of each customer id, making those that were not `found`.

    New ones are made in order of their ids, so that two transactions can not wait for each other,
    and MUST be made before persons are locked.
    """
    missing = sorted(set(customer_ids) - found.keys())
    if not missing:
        return Subjects(found, {})
    [rows] = ask(connection, [_MAKE_CUSTOMERS(customer_ids=text_array(missing))])
    made = {
        number: Person(
            number,
            (Member(number, shard_of(customer_id), customer_id),),
            is_named_by_merge=False,
            is_new=True,
        )
        for customer_id, number in rows
    }
    insert_rows(
        connection,
        "subject",
        ("number", "shard", "root", "named_by_merge"),
        [(number, person.members[0].shard, number, False) for number, person in made.items()],
    )
    if len(made) < len(missing):
        # Somebody else made some of them in the meantime: theirs are committed by now.
        return Subjects(find_subjects(connection, customer_ids), made)
    return Subjects({**found, **dict(rows)}, made)


def lock_persons(connection: Connection, subjects: Collection[int]) -> dict[int, Person]:
    """Lock the persons to whom the subjects belong and give each by its root.

    Roots are locked in order. Raises RetryTransactionError when a merge or split moved a subject
    to another root before the lock was had.
    """
    return lock_persons_asking(connection, subjects, [])[0]


def lock_persons_asking(
    connection: Connection, subjects: Collection[int], questions: Sequence[Question]
) -> tuple[dict[int, Person], list[Rows]]:
    """Lock persons as `lock_persons` does, asking what else is to be known of them once locked.

    All in one round trip. The answers count, for whoever they are asked about is locked: the roots
    that a statement after the lock sees are those that were locked, or nothing of it counts.
    """
    numbers = list(subjects)
    locked, found, *answers = ask(
        connection,
        [_LOCKED_ROOTS(subjects=numbers), _PERSONS_OF_SUBJECTS(subjects=numbers), *questions],
    )
    persons = _persons(found)
    members = {member.subject for person in persons.values() for member in person.members}
    if (
        any(row.number != row.root for row in locked)
        or persons.keys() != {row.number for row in locked}
        or not members.issuperset(subjects)
    ):
        raise RetryTransactionError
    return persons, answers


def persons_of_roots(connection: Connection, roots: Collection[int]) -> dict[int, Person]:
    """Give the persons of some root subjects, each by its root."""
    [rows] = ask(connection, [_PERSONS(roots=list(roots))])
    return _persons(rows)


def _persons(rows: Rows) -> dict[int, Person]:
    members: dict[int, list[Member]] = {}
    named: set[int] = set()
    erased: set[int] = set()
    for row in rows:
        members.setdefault(row.root, []).append(
            Member(row.number, row.shard, row.customer_id or "")
        )
        if row.named_by_merge:
            named.add(row.root)
        if row.erased_at is not None:
            erased.add(row.root)
    return {
        root: Person(root, found, root in named, is_erased=root in erased)
        for root, found in members.items()
    }


class ConnectedMember(NamedTuple):
    """A customer id as it stands: its person, the version of its state, where its shard is."""

    member: Member
    root: int
    version: int
    shard_seq: int


_SEED: Final = select(
    func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))).label("origin")
).subquery()
_FOUND: Final = select(_SEED.c.origin, _SEED.c.origin.label("number")).cte(recursive=True)
_CONNECTED: Final = _FOUND.union(
    select(
        _FOUND.c.origin,
        case(
            (merge_link.c.from_subject == _FOUND.c.number, merge_link.c.into_subject),
            else_=merge_link.c.from_subject,
        ),
    ).where(
        or_(
            merge_link.c.from_subject == _FOUND.c.number,
            merge_link.c.into_subject == _FOUND.c.number,
        )
    )
)
_CONNECTED_MEMBERS: Final = (
    select(
        _CONNECTED.c.origin,
        subject.c.number,
        subject.c.shard,
        customer.c.customer_id,
        subject.c.root,
        state.c.version,
        shard.c.seq,
    )
    .select_from(_CONNECTED.join(subject, subject.c.number == _CONNECTED.c.number))
    .join(shard, shard.c.number == subject.c.shard)
    .join(state, state.c.subject == subject.c.root)
    .outerjoin(customer, customer.c.subject == subject.c.number)
    .order_by(subject.c.number)
)


def connected_members(
    connection: Connection, numbers: Collection[int]
) -> dict[int, list[ConnectedMember]]:
    """Give each subject with all that were ever one person with it, all in one snapshot."""
    connected: dict[int, list[ConnectedMember]] = {}
    for row in connection.execute(_CONNECTED_MEMBERS, {"numbers": list(numbers)}):
        connected.setdefault(row.origin, []).append(
            ConnectedMember(
                Member(row.number, row.shard, row.customer_id or ""),
                row.root,
                row.version,
                row.seq,
            )
        )
    return connected


class ShardPosition(NamedTuple):
    """Where a shard stands, locked by the transaction that read it.

    `incarnation` is the life of its cache; nobody can begin another before that transaction ends.
    """

    seq: int
    chain_length: int
    chain_hash: bytes
    incarnation: int


def lock_shards(connection: Connection, numbers: Iterable[int]) -> dict[int, ShardPosition]:
    """Lock shards in order and give where each stands. Subjects MUST have been locked before."""
    [rows] = ask(connection, [lock_shards_question(numbers)])
    return shard_positions(rows)


def lock_shards_question(numbers: Iterable[int]) -> Question:
    """Ask what `lock_shards` asks; `shard_positions` takes the answer."""
    return _LOCKED_SHARDS(numbers=sorted(set(numbers)))


def shard_positions(rows: Rows) -> dict[int, ShardPosition]:
    """Give where each shard stands from the rows that say so."""
    return {
        row.number: ShardPosition(row.seq, row.chain_length, row.chain_hash, row.incarnation)
        for row in rows
    }


def move_shards(connection: Connection, positions: Mapping[int, ShardPosition]) -> None:
    """Write where locked shards stand now."""
    moved = positions.items()
    send(
        connection,
        _MOVE_SHARDS(
            numbers=[number for number, _ in moved],
            seqs=[position.seq for _, position in moved],
            lengths=[position.chain_length for _, position in moved],
            hashes=[position.chain_hash for _, position in moved],
        ),
    )
