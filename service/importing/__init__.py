"""Importing: reading a bank's files of products and consents as events.

`load_mapping` reads what the columns mean, `read` yields a row for every record, `RejectWriter`
writes the refused ones beside the file. Nothing here talks to a server: the events go to the
writer like anybody else's.
"""

from service.importing.errors import (
    ColumnsMissingError,
    EventIdKeyMissingError,
    FileUnreadableError,
    ImportFailedError,
    MappingInvalidError,
)
from service.importing.mapping import FileMapping, load_mapping, parse_mapping
from service.importing.reader import content_digest, position_of_line, read
from service.importing.rejects import RejectWriter, rejects_path
from service.importing.rows import (
    START,
    EventRow,
    Position,
    Reject,
    Row,
    SkipCause,
    Skipped,
    Tally,
)

__all__ = [
    "START",
    "ColumnsMissingError",
    "EventIdKeyMissingError",
    "EventRow",
    "FileMapping",
    "FileUnreadableError",
    "ImportFailedError",
    "MappingInvalidError",
    "Position",
    "Reject",
    "RejectWriter",
    "Row",
    "SkipCause",
    "Skipped",
    "Tally",
    "content_digest",
    "load_mapping",
    "parse_mapping",
    "position_of_line",
    "read",
    "rejects_path",
]
