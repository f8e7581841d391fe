"""A data directory that is thrown away: for the demonstration and for tests.

Here lives its making and removing only.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.account import server_account
from service.embedded.reach import reachable_temporary_directory


@contextmanager
def temporary_data_directory(unprivileged_user: str = "nobody") -> Iterator[Path]:
    """Make an empty data directory where the server account can reach it; remove it at the end.

    Raises:
        ServerAccountError: under root, if `unprivileged_user` will not do.
        DataDirectoryError: if there is no place for it.

    """
    parent = reachable_temporary_directory(server_account(unprivileged_user))
    directory = Path(tempfile.mkdtemp(prefix="maywe-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
