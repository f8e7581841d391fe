"""The tables of the ledger database, as the code uses them.

What lives here: names, types and keys for SQLAlchemy Core. The database is made by `migrations`,
which also holds what SQLAlchemy does not describe: the append-only triggers and the recording
clock. Instants are bigints of microseconds since 1970-01-01T00:00:00Z, UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

ordered_text = Text(collation="C")
"""Text compared by code point, as ids are (`semantics.md`, the basis)."""

shard = Table(
    "shard",
    metadata,
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="outbox rows so far; gapless"),
    Column("chain_length", BigInteger, nullable=False, comment="events chained so far"),
    Column("chain_hash", LargeBinary, nullable=False, comment="hash of the last event"),
    Column("incarnation", Integer, nullable=False, comment="life of the shard's cache"),
    Column(
        "rolled_out_publication",
        Integer,
        nullable=False,
        comment="every state of the shard is right under this publication",
    ),
)

subject = Table(
    "subject",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, nullable=False),
    Column("merged_into", BigInteger, comment="the subject that this one was merged into"),
    Column("root", BigInteger, nullable=False, comment="where the chain of merges ends"),
    Column("named_by_merge", Boolean, nullable=False),
    Column("erased_at", BigInteger, comment="known time of the person's erasure"),
    Index("subject_by_root", "root"),
    Index("subject_by_merged_into", "merged_into"),
    Index("subject_by_shard", "shard", "number"),
    comment="surrogate of a customer id; events and states name it",
)

customer = Table(
    "customer",
    metadata,
    Column("customer_id", ordered_text, primary_key=True),
    Column("subject", BigInteger, nullable=False, unique=True),
    comment="erasable: the outside id of each subject",
)

event = Table(
    "event",
    metadata,
    Column("event_id", ordered_text, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("position", BigInteger, nullable=False, comment="place in the shard's hash chain"),
    Column("subject", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("effective_at", BigInteger, comment="valid time; none for void, merge and split"),
    Column("recorded_at", BigInteger, nullable=False, unique=True, comment="known time"),
    Column("body", JSONB, nullable=False, comment="without personal fields"),
    Column("personal_commitment", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("shard", "position"),
    Index("event_by_subject", "subject", "recorded_at"),
    comment="append only: every accepted event",
)

event_personal = Table(
    "event_personal",
    metadata,
    Column("event_id", ordered_text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("personal", JSONB, nullable=False),
    comment="erasable: the personal fields that event.personal_commitment commits to",
)

event_void = Table(
    "event_void",
    metadata,
    Column("voided_event_id", ordered_text, primary_key=True),
    Column("event_id", ordered_text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    comment="which events are void, and since when; follows from void events",
)

merge_link = Table(
    "merge_link",
    metadata,
    Column("event_id", ordered_text, primary_key=True),
    Column("from_subject", BigInteger, nullable=False),
    Column("into_subject", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("split_event_id", ordered_text),
    Column("undone_at", BigInteger, comment="known time of the split"),
    Index("merge_link_by_from", "from_subject"),
    Index("merge_link_by_into", "into_subject"),
    comment="who was one person with whom, as known when; follows from merge and split events",
)

erasure = Table(
    "erasure",
    metadata,
    Column("event_id", ordered_text, primary_key=True),
    Column("root", BigInteger, nullable=False, unique=True, comment="the person's root subject"),
    Column("recorded_at", BigInteger, nullable=False),
    Column("positions", JSONB, nullable=False, comment="seq of each shard that tells of it"),
    Column("completed_at", BigInteger, comment="none: personal data is still to be removed"),
    comment="who is erased, and how far; follows from erasure events but for its completion",
)
Index(
    "erasure_under_way",
    erasure.c.recorded_at,
    postgresql_where=erasure.c.completed_at.is_(None),
)

publication = Table(
    "publication",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("publication_id", ordered_text, nullable=False, unique=True),
    Column("document", Text, nullable=False, comment="as it was sent"),
    Column("content", JSONB, nullable=False, comment="the document as it was read"),
    Column("publisher", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False, unique=True),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("narrowed_at", BigInteger, comment="suspensions dated up to here count as begun"),
    comment="append only: every catalog publication, whole",
)

publication_end = Table(
    "publication_end",
    metadata,
    Column("is_only_row", Boolean, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="of the last"),
    comment="where the chain of publications ends; kept by a trigger",
)

code_number = Table(
    "code_number",
    metadata,
    Column("code_list", Text, primary_key=True),
    Column("code", ordered_text, primary_key=True),
    Column("number", Integer, nullable=False),
    UniqueConstraint("code_list", "number"),
    comment="append only: the number of each code in scope numbers, never reused",
)

used_code = Table(
    "used_code",
    metadata,
    Column("code_list", Text, primary_key=True),
    Column("code", ordered_text, primary_key=True),
    Column("consent_type", ordered_text, primary_key=True),
    comment="codes that an event or a published wording uses: they may not go",
)

state = Table(
    "state",
    metadata,
    Column("subject", BigInteger, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("publication", Integer, nullable=False, comment="folded under this one"),
    Column("record", LargeBinary, nullable=False, comment="the bytes that go to Redis"),
    Column("next_change_at", BigInteger, nullable=False),
    Column("watched_through", BigInteger, nullable=False, comment="lapses told up to here"),
    Index("state_by_shard", "shard", "subject"),
    Index("state_by_next_change", "next_change_at"),
    comment="the folded permissions of each person, by root subject",
)

permission = Table(
    "permission",
    metadata,
    Column("scope", BigInteger, primary_key=True),
    Column("subject", BigInteger, primary_key=True),
    Column("allowed_from", BigInteger, primary_key=True),
    Column("allowed_until", BigInteger, nullable=False),
    Index("permission_by_subject", "subject"),
    comment="when each scope is allowed, suspensions aside, by root subject",
)

unmatched = Table(
    "unmatched",
    metadata,
    Column("event_id", ordered_text, primary_key=True),
    Column("subject", BigInteger, nullable=False, comment="root subject"),
    Column("cause", Text, nullable=False),
    Column("consent_types", ARRAY(Text), nullable=False),
    Column("matrix_row_id", Text, nullable=False),
    Index("unmatched_by_subject", "subject"),
    comment="events that wait for a publication to give them consents",
)

outbox = Table(
    "outbox",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", BigInteger, nullable=False, comment="whose customer id's record is due"),
    Column("root", BigInteger, nullable=False, comment="whose state it shows"),
    Column("recorded_at", BigInteger, nullable=False),
    Column("cause", JSONB, nullable=False),
    Column("changes", JSONB, nullable=False),
    Column(
        "narrowed_version",
        BigInteger,
        comment="state version that shows what the row took away; none: it took nothing away",
    ),
    Column("lost_at", BigInteger, comment="when that is lost; see store.outbox.narrowed_at"),
    comment="what changed, in commit order by shard",
)
Index(
    "outbox_narrowing",
    outbox.c.shard,
    outbox.c.seq,
    postgresql_where=outbox.c.narrowed_version.is_not(None),
)
Index("outbox_lost_at", outbox.c.lost_at, postgresql_where=outbox.c.lost_at.is_not(None))
Index(
    "outbox_losing_later",
    outbox.c.lost_at,
    postgresql_where=outbox.c.lost_at > outbox.c.recorded_at,
)

outbox_kept = Table(
    "outbox_kept",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("after_seq", BigInteger, nullable=False, comment="rows up to this one are pruned"),
    comment="from where on the outbox of each shard is kept",
)

lease = Table(
    "lease",
    metadata,
    Column("process_id", Text, primary_key=True),
    Column("control_address", Text, nullable=False, comment="where the process is told of floors"),
    Column("renewals", BigInteger, nullable=False),
    Column("length_milliseconds", Integer, nullable=False),
    Column(
        "renewed_at",
        BigInteger,
        nullable=False,
        comment="tells renewals apart",
    ),
    comment="which decision processes may answer from the cache, each for a short time",
)

job = Table(
    "job",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("publication", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger, comment="when its last piece was done"),
    comment="long work in resumable pieces",
)

job_piece = Table(
    "job_piece",
    metadata,
    Column("job", BigInteger, ForeignKey("job.number"), primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("next_subject", BigInteger, nullable=False, comment="goes on from here"),
    Column("subjects_total", BigInteger, nullable=False),
    Column("subjects_done", BigInteger, nullable=False),
    Column("subjects_changed", BigInteger, nullable=False),
    Column("is_done", Boolean, nullable=False),
    comment="one shard's part of a job; workers take it with SKIP LOCKED",
)

work_piece = Table(
    "work_piece",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("owner", ordered_text, nullable=False, comment="what it is of, as the id of an import"),
    Column("claim", Uuid, nullable=False, comment="the desk that staged it and waits"),
    Column("payload", LargeBinary, nullable=False),
    Column("outcome", LargeBinary, comment="none: not done yet"),
    Column("staged_at", BigInteger, nullable=False),
    prefixes=["UNLOGGED"],
    comment="bulk work that a worker takes with SKIP LOCKED, and whoever staged it waits for",
)

import_progress = Table(
    "import_progress",
    metadata,
    Column("import_id", ordered_text, primary_key=True),
    Column("next_position", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("claim", Uuid, comment="drawn by who claimed it last; who has another may do nothing"),
    comment="how far each import has come",
)

handed_in_document = Table(
    "handed_in_document",
    metadata,
    Column("document_hash", LargeBinary, primary_key=True, comment="SHA-256 of the text"),
    Column(
        "newest_number",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="the publication that was the newest: only what follows it may be this document",
    ),
    Column("caller", ordered_text, primary_key=True),
    Column("handed_in_at", BigInteger, nullable=False),
    comment="append only: documents that somebody handed in for somebody else to publish",
)

decision_journal = Table(
    "decision_journal",
    metadata,
    Column("answered_at", BigInteger, primary_key=True, comment="parts the table by time"),
    Column("decision_id", ordered_text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("customer_id", ordered_text, nullable=False, comment="erasable: empty once erased"),
    Column("question", JSONB, nullable=False),
    Column("decided_at", BigInteger, nullable=False, comment="the instant asked about"),
    Column("state_version", BigInteger, nullable=False),
    Column("publication", Integer, nullable=False),
    Column("is_outside_promise", Boolean, nullable=False),
    Column("answer", JSONB, nullable=False),
    Index("decision_journal_by_customer", "customer_id"),
    postgresql_partition_by="RANGE (answered_at)",
    comment="what was answered to whom; as far as an operator chose",
)

schema_step = Table(
    "schema_step",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", ordered_text, nullable=False, unique=True),
    Column("name", ordered_text, nullable=False),
    comment="the steps that brought the schema here, in order; their names say who survives them",
)

installation = Table(
    "installation",
    metadata,
    Column("is_only_row", Boolean, primary_key=True),
    Column("epoch", Integer, nullable=False, comment="life of the ledger; raised on restore"),
    Column("import_key", LargeBinary, nullable=False, comment="secret; for deriving event ids"),
    Column(
        "settled_epoch",
        Integer,
        nullable=False,
        comment="the last epoch from whose beginning on every older lease is known to be over",
    ),
    Column("system_identifier", Text, comment="of the server last seen; none: not seen yet"),
    Column("timeline", Text, comment="of the server last seen; none: not seen yet"),
    comment="what there is one of",
)

journal_forgotten = Table(
    "journal_forgotten",
    metadata,
    Column("is_only_row", Boolean, primary_key=True),
    Column("forgot_at", BigInteger, nullable=False, comment="0: never yet"),
    comment="when ids were last removed from the journal; answers on their way leave them out too",
)

seen_database = Table(
    "seen_database",
    metadata,
    Column("is_only_row", Boolean, primary_key=True),
    Column("identity", Text, comment="what no dump brings along; none: not seen yet"),
    comment="which database the ledger was last seen in",
)
