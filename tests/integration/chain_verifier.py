"""A verifier of the hash chains that shares no code with the ledger.

What lives here: working out every hash again from what is stored, so that it also holds fast how a
hash is made. Who alters what is stored, to see it noticed, are the tests.
"""

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, TypeAlias

from sqlalchemy import Engine, select

from store.database import reading
from store.schema import event, event_personal, publication, shard

Row: TypeAlias = dict[str, Any]
Stored: TypeAlias = dict[str, list[Row]]

ORDER_BY_TABLE = {
    event: (event.c.shard, event.c.position),
    event_personal: (event_personal.c.event_id,),
    publication: (publication.c.number,),
    shard: (shard.c.number,),
}


def load(engine: Engine) -> Stored:
    """Everything that the chains are about."""
    with reading(engine) as connection:
        return {
            table.name: [
                dict(row._mapping)  # noqa: SLF001 - so named that no column can have the name
                for row in connection.execute(select(table).order_by(*order))
            ]
            for table, order in ORDER_BY_TABLE.items()
        }


def canonical(value: object) -> bytes:
    """JSON with sorted keys, without spaces and escapes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def faults(stored: Stored) -> list[str]:
    """Everything about which what is stored is at odds with its hashes."""
    return [
        *faults_of_events(stored),
        *faults_of_heads(stored),
        *faults_of_publications(stored["publication"]),
    ]


def faults_of_events(stored: Stored) -> Iterator[str]:
    """Check each event against its hash, its place and its personal fields."""
    personal = {row["event_id"]: row for row in stored["event_personal"]}
    heads: dict[int, bytes] = {}
    lengths: Counter[int] = Counter()
    for row in stored["event"]:
        number = row["shard"]
        content = {
            name: value
            for name, value in row.items()
            if name not in {"previous_hash", "hash", "personal_commitment"}
        }
        content["personal_commitment"] = row["personal_commitment"].hex()
        if row["position"] != lengths[number]:
            yield f"{row['event_id']} is out of place"
        if row["previous_hash"] != heads.get(number, b""):
            yield f"{row['event_id']} does not follow the event before"
        if row["hash"] != sha256(row["previous_hash"] + canonical(content)).digest():
            yield f"{row['event_id']} is not what was hashed"
        found = personal.pop(row["event_id"], None)
        if found is not None:
            committed = sha256(found["salt"] + canonical(found["personal"])).digest()
            if row["personal_commitment"] != committed:
                yield f"the personal fields of {row['event_id']} are not the ones committed to"
        heads[number] = row["hash"]
        lengths[number] += 1
    for event_id in personal:
        yield f"there are personal fields of {event_id}, which is no event"


def faults_of_heads(stored: Stored) -> Iterator[str]:
    """Check that each shard says how long its chain is and where it ends."""
    ends = {row["shard"]: row["hash"] for row in stored["event"]}
    lengths = Counter(row["shard"] for row in stored["event"])
    for row in stored["shard"]:
        number = row["number"]
        if (row["chain_length"], row["chain_hash"]) != (lengths[number], ends.get(number, b"")):
            yield f"shard {number} is not where its chain ends"


def faults_of_publications(rows: list[Row]) -> Iterator[str]:
    """Check each publication against its hash and its place."""
    end = b""
    for number, row in enumerate(rows, start=1):
        content = {
            name: value
            for name, value in row.items()
            # Publications of before there was the last have none.
            if name not in {"previous_hash", "hash"} and (name, value) != ("narrowed_at", None)
        }
        if (row["number"], row["previous_hash"]) != (number, end):
            yield f"publication {number} does not follow the one before"
        if row["hash"] != sha256(row["previous_hash"] + canonical(content)).digest():
            yield f"publication {number} is not what was hashed"
        end = row["hash"]
