"""`python -m tests.cases DIR`: run every case file of a directory through gRPC.

Each case has a fresh database and a fresh namespace of Redis. One line is printed for each case
that fails, and at the end `N passed, M failed`; the exit status is 0 when all passed.
"""

import logging
import sys
from pathlib import Path
from typing import Final

from tests.cases.runner import UnreadableCaseError, case_files, failures, load_case
from tests.running import fresh_maywe
from tests.servers import (
    ServerUrls,
    migrated_template,
    servers_under_test,
)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


def main(arguments: list[str]) -> int:
    """Run the cases of the directory named, and give the exit status."""
    if len(arguments) != 1:
        print("usage: python -m tests.cases DIR", file=sys.stderr)
        return EXIT_USAGE
    directory = Path(arguments[0])
    paths = case_files(directory)
    if not paths:
        print(f"there are no case files (*.json) in {directory}", file=sys.stderr)
        return EXIT_USAGE
    # Only what cases come to is to be printed; a server's warnings are no part of that.
    logging.disable(logging.WARNING)
    failed_count = 0
    with servers_under_test() as urls, migrated_template(urls.postgres) as template:
        for path in paths:
            lines = _run(path, urls, template)
            if lines:
                failed_count += 1
                more = f"; and {len(lines) - 1} more" if len(lines) > 1 else ""
                print(f"{path.stem}: {lines[0]}{more}", flush=True)
    print(f"{len(paths) - failed_count} passed, {failed_count} failed")
    return EXIT_FAILED if failed_count else 0


def _run(path: Path, urls: ServerUrls, template: str) -> list[str]:
    try:
        case = load_case(path)
    except UnreadableCaseError as error:
        return [str(error)]
    try:
        with fresh_maywe(urls, template) as maywe:
            return list(failures(case, maywe))
    except Exception as error:  # noqa: BLE001 - one case that breaks may not keep the others from running
        return [f"broke off: {error!r}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
