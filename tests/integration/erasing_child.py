"""`python -m tests.integration.erasing_child DIRECTORY WORD...`: maywe, with places to die at.

What lives here: the places on the way of an erasure. They are armed by files in DIRECTORY, as those
of `tests.faults` are, whose campaign knows nothing of erasures.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults import failpoints
from tests.faults.failpoints import WRITER, Place

PLACES: Final[Mapping[str, Place]] = {
    "before it is recorded": Place("store.writing", "move_shards", is_before=False, role=WRITER),
    "once it is recorded": Place("store.erasing", "begin", is_before=False, role=WRITER),
    "once it is effective": Place(
        "service.effectuation", "Effectuator.make_effective", is_before=False, role=WRITER
    ),
    "before Redis forgets": Place("store.cache", "Cache.forget", is_before=True, role=WRITER),
    "once Redis has forgotten": Place("store.cache", "Cache.forget", is_before=False, role=WRITER),
    "before the removal is committed": Place(
        "store.pieces", "remove_left", is_before=False, role=WRITER
    ),
    "once it is complete": Place("store.erasing", "complete", is_before=False, role=WRITER),
}
"""Every place, in the order in which an erasure passes them."""


def main(arguments: list[str]) -> None:
    """Wrap the places, then do as the command line says."""
    failpoints.PLACES = PLACES  # type: ignore[misc]  # the campaign's are of no use here
    failpoints.install(Path(arguments[0]))

    # Imported last, so that everybody takes hold of what is wrapped.
    from service.cli.main import main as command_line  # noqa: PLC0415

    command_line(arguments[1:], prog_name="maywe")


if __name__ == "__main__":
    main(sys.argv[1:])
