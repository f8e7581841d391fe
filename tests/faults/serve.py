"""`python -m tests.faults.serve DIRECTORY SABOTAGES COMMAND...`: a process of the campaign.

What lives here: the order in which the tests' wrappers are put around the product before its own
command line is run. DIRECTORY holds the files that arm them; SABOTAGES are
names of `tests.sabotage`, parted by commas.
"""

import sys
from pathlib import Path

from tests.faults import failpoints, meddling
from tests.sabotage import clauses


def main(arguments: list[str]) -> None:
    """Install everything, then do as the command line says."""
    directory = Path(arguments[0])
    meddling.install_clock(directory)
    clauses.install(name for name in arguments[1].split(",") if name)
    meddling.install_batches(directory)
    failpoints.install(directory)

    # Imported last, so that the clock is in place for whoever takes hold of it.
    from service.cli.main import main as command_line  # noqa: PLC0415

    command_line(arguments[2:], prog_name="maywe")


if __name__ == "__main__":
    main(sys.argv[1:])
