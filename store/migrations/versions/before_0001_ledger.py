"""The ledger, the states folded from it, and what follows from them.

Revision ID: 0001
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# SQL text and not today's `store.schema`, so that what this step does never changes.
_TABLES: Final = """
CREATE TABLE installation (
    is_only_row boolean PRIMARY KEY CHECK (is_only_row),
    epoch integer NOT NULL,
    import_key bytea NOT NULL
);
-- Two random UUIDs are 32 bytes that nobody can guess, and need no extension.
INSERT INTO installation VALUES (true, 1, decode(
    replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TABLE shard (
    number smallint PRIMARY KEY,
    seq bigint NOT NULL,
    chain_length bigint NOT NULL,
    chain_hash bytea NOT NULL,
    incarnation integer NOT NULL,
    rolled_out_publication integer NOT NULL
) WITH (fillfactor = 20);

CREATE SEQUENCE subject_number;
CREATE TABLE subject (
    number bigint PRIMARY KEY,
    shard smallint NOT NULL,
    merged_into bigint,
    root bigint NOT NULL,
    named_by_merge boolean NOT NULL
);
CREATE INDEX subject_by_root ON subject (root);
CREATE INDEX subject_by_merged_into ON subject (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX subject_by_shard ON subject (shard, number);

CREATE TABLE customer (
    customer_id text COLLATE "C" PRIMARY KEY,
    subject bigint NOT NULL UNIQUE
);

CREATE TABLE event (
    event_id text COLLATE "C" PRIMARY KEY,
    shard smallint NOT NULL,
    position bigint NOT NULL,
    subject bigint NOT NULL,
    kind text NOT NULL,
    effective_at bigint,
    recorded_at bigint NOT NULL UNIQUE,
    body jsonb NOT NULL,
    personal_commitment bytea NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    UNIQUE (shard, position)
);
CREATE INDEX event_by_subject ON event (subject, recorded_at);

CREATE TABLE event_personal (
    event_id text COLLATE "C" PRIMARY KEY,
    salt bytea NOT NULL,
    personal jsonb NOT NULL
);

CREATE TABLE event_void (
    voided_event_id text COLLATE "C" PRIMARY KEY,
    event_id text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE merge_link (
    event_id text COLLATE "C" PRIMARY KEY,
    from_subject bigint NOT NULL,
    into_subject bigint NOT NULL,
    recorded_at bigint NOT NULL,
    split_event_id text COLLATE "C",
    undone_at bigint
);
CREATE INDEX merge_link_by_from ON merge_link (from_subject);
CREATE INDEX merge_link_by_into ON merge_link (into_subject);

CREATE TABLE publication (
    number integer PRIMARY KEY,
    publication_id text COLLATE "C" NOT NULL UNIQUE,
    document text NOT NULL,
    content jsonb NOT NULL,
    publisher text NOT NULL,
    comment text NOT NULL,
    recorded_at bigint NOT NULL UNIQUE,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE code_number (
    code_list text NOT NULL,
    code text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    PRIMARY KEY (code_list, code),
    UNIQUE (code_list, number)
);

CREATE TABLE used_code (
    code_list text NOT NULL,
    code text COLLATE "C" NOT NULL,
    consent_type text COLLATE "C" NOT NULL,
    PRIMARY KEY (code_list, code, consent_type)
);

CREATE TABLE state (
    subject bigint PRIMARY KEY,
    shard smallint NOT NULL,
    version bigint NOT NULL,
    publication integer NOT NULL,
    record bytea NOT NULL,
    next_change_at bigint NOT NULL,
    watched_through bigint NOT NULL
);
CREATE INDEX state_by_shard ON state (shard, subject);
CREATE INDEX state_by_next_change ON state (next_change_at);

CREATE TABLE permission (
    scope bigint NOT NULL,
    subject bigint NOT NULL,
    allowed_from bigint NOT NULL,
    allowed_until bigint NOT NULL,
    PRIMARY KEY (scope, subject, allowed_from)
);
CREATE INDEX permission_by_subject ON permission (subject);

CREATE TABLE unmatched (
    event_id text COLLATE "C" PRIMARY KEY,
    subject bigint NOT NULL,
    cause text NOT NULL,
    consent_types text[] NOT NULL,
    matrix_row_id text NOT NULL
);
CREATE INDEX unmatched_by_subject ON unmatched (subject);

CREATE TABLE outbox (
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    subject bigint NOT NULL,
    root bigint NOT NULL,
    recorded_at bigint NOT NULL,
    cause jsonb NOT NULL,
    changes jsonb NOT NULL,
    PRIMARY KEY (shard, seq)
);

CREATE TABLE job (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    publication integer NOT NULL,
    created_at bigint NOT NULL,
    completed_at bigint
);

CREATE TABLE job_piece (
    job bigint NOT NULL REFERENCES job,
    shard smallint NOT NULL,
    next_subject bigint NOT NULL,
    subjects_total bigint NOT NULL,
    subjects_done bigint NOT NULL,
    subjects_changed bigint NOT NULL,
    is_done boolean NOT NULL,
    PRIMARY KEY (job, shard)
);

CREATE TABLE import_progress (
    import_id text COLLATE "C" PRIMARY KEY,
    next_position bigint NOT NULL,
    accepted bigint NOT NULL,
    repeated bigint NOT NULL,
    rejected bigint NOT NULL,
    updated_at bigint NOT NULL
);
"""

# 64 shards: `store.sharding.SHARD_COUNT`, which no later step can change.
_SHARDS: Final = """
INSERT INTO shard SELECT number, 0, 0, '\\x', 0, 0 FROM generate_series(0, 63) AS number;
"""

_APPEND_ONLY: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

_APPEND_ONLY_TABLES: Final = ("event", "publication", "code_number")

_REFUSE_CHANGE: Final = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only;
"""

# Recorded instants never tie nor run backwards (semantics.md, As of). The last one drawn is kept in
# a sequence, which is not rolled back, and drawn under a lock held for microseconds only: a row
# would stay locked until commit and let one event through at a time.
_RECORDING_CLOCK: Final = """
CREATE SEQUENCE recorded_instant MINVALUE 0 START 0;

CREATE FUNCTION draw_recorded_instants(count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first_instant bigint;
BEGIN
    PERFORM pg_advisory_lock(5164002);
    SELECT greatest(last_value + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        INTO first_instant FROM recorded_instant;
    PERFORM setval('recorded_instant', first_instant + count - 1);
    PERFORM pg_advisory_unlock(5164002);
    RETURN first_instant;
EXCEPTION WHEN query_canceled OR OTHERS THEN
    -- Cancelled at any point: the lock belongs to the session and would stay. Not held, it warns.
    PERFORM pg_advisory_unlock(5164002);
    RAISE;
END $$;
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(_TABLES)
    op.execute(_APPEND_ONLY)
    for table in _APPEND_ONLY_TABLES:
        op.execute(_REFUSE_CHANGE.format(table=table))
    op.execute(_RECORDING_CLOCK)
    op.execute(_SHARDS)
