"""Whether a ledger is whole: its chains, its outbox, and its states against a fold of its events.

What lives here: questions to a database at which nobody writes just now, whatever was done to it
before. How a hash is made is in `chain_verifier`.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, func, select

from decision.answer import allowed_intervals
from decision.instants import Instant
from store import record
from store.clocks import wall_clock
from store.database import reading
from store.publications import Catalogs, PublishedCatalog
from store.schema import metadata, outbox, outbox_kept, permission, shard, state, subject
from store.states import fold_afresh, load_states
from tests.integration.chain_verifier import faults, load


def faults_of_ledger(engine: Engine, catalogs: Catalogs) -> list[str]:
    """Everything that does not fit together. The newest publication MUST be rolled out."""
    with reading(engine) as connection:
        published = catalogs.newest_in(connection)
        found = [*_faults_of_outbox(connection), *_faults_of_states(connection, published)]
    return [*faults(load(engine)), *found]


def everything_in(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, to be compared before and after what must change nothing."""
    with reading(engine) as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
        }


def _faults_of_outbox(connection: Connection) -> Iterator[str]:
    """Check that each shard's outbox goes from where it is kept to where the shard says."""
    kept_after = {row.shard: row.after_seq for row in connection.execute(select(outbox_kept))}
    seqs: dict[int, list[int]] = {}
    for row in connection.execute(select(outbox.c.shard, outbox.c.seq).order_by(outbox.c.seq)):
        seqs.setdefault(row.shard, []).append(row.seq)
    for row in connection.execute(select(shard.c.number, shard.c.seq)):
        first = kept_after.get(row.number, 0) + 1
        if seqs.pop(row.number, []) != list(range(first, row.seq + 1)):
            yield f"the outbox of shard {row.number} is not gapless from {first} to {row.seq}"
    yield from (f"there is an outbox of {number}, which is no shard" for number in seqs)


def _faults_of_states(connection: Connection, published: PublishedCatalog) -> Iterator[str]:
    """Check each state, its record and its permissions against a fold of the events."""
    roots = list(connection.scalars(select(subject.c.root).distinct()))
    stored = load_states(connection, roots)
    now = wall_clock()
    for folded in fold_afresh(connection, published, roots):
        root = folded.person.root
        found = stored.pop(root, None)
        if found is None:
            yield f"subject {root} has no state"
            continue
        expected = record.encode(
            folded.timeline,
            published.numbers,
            version=found.version,
            publication=published.number,
            made_at=now,
        )
        if record.content_of(expected) != record.content_of(found.record):
            yield f"the record of subject {root} is not the fold of its events"
        allowed = {
            (published.numbers.scope_number(scope), max(now, interval.start), interval.end)
            for scope in folded.timeline.segments
            for interval in allowed_intervals(folded.timeline, None, scope, now)
        }
        # What rows say of a past that is over makes no difference.
        if allowed != _permissions_of(connection, root, now):
            yield f"the permissions of subject {root} are not what its events give"
    yield from (f"there is a state of {root}, which is no root" for root in stored)
    if connection.scalar(select(func.count()).select_from(state)) != len(roots):
        yield "there are states of others than the roots"


def _permissions_of(connection: Connection, root: int, since: Instant) -> set[tuple[int, int, int]]:
    rows = connection.execute(select(permission).where(permission.c.subject == root))
    return {
        (row.scope, max(since, row.allowed_from), row.allowed_until)
        for row in rows
        if row.allowed_until > since
    }
