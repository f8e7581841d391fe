"""What can be wrong with an import as a whole, before any line of the file is looked at.

What lives here: exceptions about the mapping and the file, for the operator at the command line;
they name paths and never go into an answer. A single bad line is never an exception for the caller:
it is a `Reject`.
"""

from collections.abc import Sequence
from pathlib import Path


class ImportFailedError(Exception):
    """The file can not be imported."""


class MappingInvalidError(ImportFailedError):
    """The mapping is wrong; every fault is listed."""

    def __init__(self, path: str, faults: Sequence[str]) -> None:
        super().__init__(f"mapping {path}: " + "; ".join(faults))
        self.faults = tuple(faults)


class FileUnreadableError(ImportFailedError):
    """The file can not be read, or is not what the mapping says it is."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class EventIdKeyMissingError(ImportFailedError):
    """The mapping derives event ids, and there is no key to derive them with."""


class ColumnsMissingError(ImportFailedError):
    """The header lacks columns that the mapping names, or has one of them twice."""

    def __init__(self, path: Path, problem: str, header: Sequence[str]) -> None:
        super().__init__(f"{path}: {problem}; the header has: " + ", ".join(header))
