"""Leases: how a decision process earns, for a short time, the right to answer from the cache.

What lives here: the taking, renewing and releasing of one process's lease in PostgreSQL, and the
reading of the floors that come with it (`design.md`, "No stale ALLOW", steps 3 and 4). The order is
what counts. The lease is committed first, so that whoever narrows afterwards sees it and tells us;
the floors are read in a snapshot after that, so that whoever narrowed before is in it; and the
lease counts from before it was sent, so that it is over here before it can be thought over there.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    SmallInteger,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from decision.errors import OverloadedError, UnavailableError
from store.cache import Cache
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds
from store.database import reading, run_transaction
from store.epochs import raise_epoch
from store.floors import CustomerFloor
from store.guard import CUSTOMER_FLOORS_MAX, ClockReading, GuardKeeper, Renewal
from store.ledger_clock import CLOCK_SQL, read_now
from store.meta import Meta
from store.publications import NEWEST_PUBLICATION
from store.schema import customer, installation, lease, outbox, outbox_kept, shard
from store.sharding import SHARD_COUNT

_MILLISECONDS_PER_SECOND: Final = 1000

_logger = logging.getLogger(__name__)


class LeaseHolder:
    """Holds the lease of one process. For one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        keeper: GuardKeeper,
        process_id: str,
        control_address: str,
        length_seconds: float,
    ) -> None:
        """Hold a lease of `length_seconds` at the ledger's primary.

        Writers tell this process of narrowings at `control_address`, HOST:PORT.
        """
        self._engine = engine
        self._cache = cache
        self._keeper = keeper
        self._process_id = process_id
        self._control_address = control_address
        self._length_seconds = length_seconds
        self._seen = _Seen()
        self._renewals = 0
        self._is_lost = False
        self._is_over = False

    def renew(self) -> None:
        """Renew the lease, or say once that it can not be; the one there is stands until it ends.

        The floors that writers tell go on to be heeded meanwhile.
        """
        try:
            self._renew()
        except (UnavailableError, OverloadedError):
            if not self._is_lost:
                self._is_lost = True
                _logger.warning("the lease can not be renewed: PostgreSQL does not answer")
            if not self._is_over and not self._keeper.current().is_lease_valid():
                self._is_over = True
                _logger.warning("the lease is over: no check is answered from Redis any more")
            return
        if self._is_lost:
            self._is_lost = self._is_over = False
            _logger.warning("the lease is renewed again")

    def release(self) -> None:
        """Give the lease up in order, so that no writer waits for its end.

        MUST be called only when this process does not answer checks any more.
        """
        self._keeper.give_up()
        try:
            run_transaction(
                self._engine,
                lambda connection: connection.execute(
                    delete(lease).where(lease.c.process_id == self._process_id)
                ),
            )
        except (UnavailableError, OverloadedError):
            _logger.warning("the lease could not be released: it ends by itself")

    def _renew(self) -> None:
        # Redis first: what it shows applied was committed before PostgreSQL is read.
        metas = self._read_metas()
        sent_at = boot_nanoseconds()
        run_transaction(self._engine, self._commit_lease)
        deadline = sent_at + int(self._length_seconds * NANOSECONDS_PER_SECOND)
        began_after = self._keeper.begin_reading()
        with reading(self._engine) as connection:
            # One snapshot, so that the floors are all there are above the bases.
            connection.execution_options(isolation_level="REPEATABLE READ")
            standing = _read_standing(connection)
            epoch_seen = max(self._keeper.current().epoch, _newest_epoch(metas), standing.epoch)
            self._seen.note(standing.epoch, metas)
            is_behind = standing.epoch < epoch_seen or self._seen.is_ahead_of(standing.seqs)
            if not is_behind:
                renewal = self._read_renewal(connection, standing, deadline, began_after)
        if is_behind:
            self._begin_epoch(epoch_seen)
        else:
            self._keeper.renewed(renewal)

    def _read_renewal(
        self, connection: Connection, standing: "_Standing", deadline: int, began_after: int
    ) -> Renewal:
        bases = _where_kept(self._seen.bases(standing.seqs), standing.kept_after)
        bases, floors = _read_floors(connection, bases)
        if len(floors) > CUSTOMER_FLOORS_MAX:
            # There may be more than were read: every shard has to be where PostgreSQL is.
            bases, floors = standing.seqs, []
        return Renewal(
            began_after,
            standing.epoch,
            deadline,
            bases,
            floors,
            standing.publication,
            read_now(connection),
            standing.clock_reading,
        )

    def _read_metas(self) -> Mapping[int, Meta | None]:
        try:
            return self._cache.read_metas()
        except UnavailableError:
            return {}

    def _commit_lease(self, connection: Connection) -> None:
        # Counted here and not in the row, which may be removed and come back: no count comes twice.
        self._renewals += 1
        values = {
            "renewals": self._renewals,
            "control_address": self._control_address,
            "length_milliseconds": round(self._length_seconds * _MILLISECONDS_PER_SECOND),
            "renewed_at": text(CLOCK_SQL),
        }
        connection.execute(
            upsert(lease)
            .values(process_id=self._process_id, **values)
            .on_conflict_do_update(index_elements=[lease.c.process_id], set_=values)
        )

    def _begin_epoch(self, known_epoch: int) -> None:
        """Begin a new life of the ledger: this one is older than what was seen of it."""
        self._keeper.give_up()
        epoch = raise_epoch(self._engine, known_epoch)
        _logger.error(
            "PostgreSQL is behind what this process or Redis has seen of it, as after a restore "
            "from a backup or a fail-over that lost commits: began epoch %d",
            epoch,
        )


class _Seen:
    """How far each shard's cache has been seen applied, in one epoch."""

    def __init__(self) -> None:
        self._epoch = 0
        self._seqs: list[int | None] = [None] * SHARD_COUNT

    def note(self, epoch: int, metas: Mapping[int, Meta | None]) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._seqs = [None] * SHARD_COUNT
        for number, meta in metas.items():
            if meta is not None and meta.life.epoch == epoch:
                self._seqs[number] = max(meta.applied_seq, self._seqs[number] or 0)

    def is_ahead_of(self, seqs: Sequence[int]) -> bool:
        return any(
            seen is not None and seen > seq for seen, seq in zip(self._seqs, seqs, strict=True)
        )

    def bases(self, seqs: Sequence[int]) -> Sequence[int]:
        """Give how far each shard has to be: where it was never seen, as far as PostgreSQL is."""
        return tuple(
            seq if seen is None else seen for seen, seq in zip(self._seqs, seqs, strict=True)
        )


def _newest_epoch(metas: Mapping[int, Meta | None]) -> int:
    return max((meta.life.epoch for meta in metas.values() if meta is not None), default=0)


class _Standing(NamedTuple):
    """How the ledger stands, read in one statement."""

    epoch: int
    publication: int
    seqs: Sequence[int]
    kept_after: Sequence[int]
    clock_reading: ClockReading


_CLOCK: Final = text(f"{CLOCK_SQL} AS clock")


# Built once: building them takes longer than reading, and every process does so all the time.
_STANDING: Final = select(
    installation.c.epoch,
    NEWEST_PUBLICATION.label("newest"),
    select(func.array_agg(aggregate_order_by(shard.c.seq, shard.c.number)))
    .scalar_subquery()
    .label("seqs"),
    select(func.array_agg(aggregate_order_by(outbox_kept.c.after_seq, outbox_kept.c.shard)))
    .scalar_subquery()
    .label("kept_after"),
    _CLOCK,
)


def _read_standing(connection: Connection) -> _Standing:
    sent_at = boot_nanoseconds()
    row = connection.execute(_STANDING).one()
    received_at = boot_nanoseconds()
    return _Standing(
        row.epoch,
        row.newest,
        tuple(row.seqs),
        tuple(row.kept_after),
        ClockReading(row.clock, sent_at, received_at),
    )


def _where_kept(bases: Sequence[int], kept_after: Sequence[int]) -> Sequence[int]:
    """Raise bases to where the outboxes are still kept.

    Of rows that are pruned nobody can tell any more whom they narrowed. Redis showed them before
    they were; if it does not, it went back, and everybody of the shard is read from PostgreSQL.
    """
    return tuple(map(max, bases, kept_after))


_BASE: Final = (
    func.unnest(
        bindparam("numbers", type_=ARRAY(SmallInteger)),
        bindparam("bases", type_=ARRAY(BigInteger)),
    )
    .table_valued("number", "seq")
    .render_derived("base")
)
_FLOORS: Final = (
    select(customer.c.customer_id, outbox.c.shard, outbox.c.seq, outbox.c.narrowed_version)
    .select_from(_BASE)
    .join(outbox, (outbox.c.shard == _BASE.c.number) & (outbox.c.seq > _BASE.c.seq))
    .outerjoin(customer, customer.c.subject == outbox.c.subject)
    .where(outbox.c.narrowed_version.is_not(None))
    .limit(bindparam("floors_max"))
)


def _read_floors(
    connection: Connection, bases: Sequence[int]
) -> tuple[Sequence[int], list[CustomerFloor]]:
    """Read what was taken away above the bases, at most one floor more than a guard keeps.

    Whoever is erased by now can not be named: of such a shard all has to be applied up to there.
    Redis was there before, or the id would not have been erased; it must have gone back since.
    """
    rows = connection.execute(
        _FLOORS,
        {
            "numbers": list(range(SHARD_COUNT)),
            "bases": list(bases),
            "floors_max": CUSTOMER_FLOORS_MAX + 1,
        },
    )
    raised = list(bases)
    floors = []
    for customer_id, number, seq, version in rows:
        if customer_id is None:
            raised[number] = max(raised[number], seq)
        else:
            floors.append(CustomerFloor(customer_id, seq, version))
    return raised, floors
