"""The messages between writers and decision processes: JSON, read strictly.

What lives here: writing and reading them. A process that does not understand all of a message MUST
not answer it as if it did, for the writer takes the answer as proof; so whatever is unknown is
refused, a field of a newer version too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from store.floors import CustomerFloor, Narrowing

SERVICE: Final = "maywe.internal.Control"
RAISE_FLOORS: Final = "RaiseFloors"

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Far above what a chunk of an import takes away; a limit for whoever sends nonsense."""


class UnreadableMessageError(ValueError):
    """A message is not what it should be. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class RaiseFloorsRequest:
    """What one process, and no other at its address, has to be told."""

    process_id: str
    narrowings: Sequence[Narrowing]


def encode_request(request: RaiseFloorsRequest) -> bytes:
    """Write a request."""
    document = {
        "process_id": request.process_id,
        "narrowings": [
            {
                "epoch": narrowing.epoch,
                "customers": list(narrowing.customers),
                "publication": narrowing.publication,
                "narrowed_at": narrowing.narrowed_at,
            }
            for narrowing in request.narrowings
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def decode_request(data: bytes) -> RaiseFloorsRequest:
    """Read a request. Raises UnreadableMessageError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        message = "not JSON in UTF-8"
        raise UnreadableMessageError(message) from error
    fields = _fields(document, {"process_id": str, "narrowings": list})
    return RaiseFloorsRequest(
        fields["process_id"], [_narrowing(narrowing) for narrowing in fields["narrowings"]]
    )


def _narrowing(document: object) -> Narrowing:
    fields = _fields(
        document, {"epoch": int, "customers": list, "publication": int, "narrowed_at": int}
    )
    return Narrowing(
        epoch=fields["epoch"],
        customers=tuple(_floor(floor) for floor in fields["customers"]),
        publication=fields["publication"],
        narrowed_at=fields["narrowed_at"],
    )


def _floor(document: object) -> CustomerFloor:
    match document:
        case [str(customer_id), int(seq), int(version)] if not {type(seq), type(version)} - {int}:
            return CustomerFloor(customer_id, seq, version)
        case _:
            message = "a floor is [customer id, seq, version]"
            raise UnreadableMessageError(message)


def _fields(document: object, types: Mapping[str, type]) -> dict[str, Any]:
    """Take the fields of an object, which has to have exactly these."""
    if not isinstance(document, dict) or set(document) != set(types):
        message = f"an object with {', '.join(types)} is needed, and nothing else"
        raise UnreadableMessageError(message)
    for name, kind in types.items():
        # Not isinstance, for which true and false are integers.
        if type(document[name]) is not kind:
            message = f"{name} is no {kind.__name__}"
            raise UnreadableMessageError(message)
    return document
