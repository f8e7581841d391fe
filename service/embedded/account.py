"""The operating system account that the embedded servers run as.

Here lives the choice of the account and nothing else; switching to it is the launcher's.
"""

import os
import pwd
from dataclasses import dataclass

from service.embedded.errors import ServerAccountError

ROOT_USER_ID = 0


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """An account: its numeric user and group, and its name for messages."""

    name: str
    user_id: int
    group_id: int

    @property
    def is_own(self) -> bool:
        """Whether this is the account of the present process, so that nothing need be switched."""
        return self.user_id == os.geteuid()


def server_account(unprivileged_user: str) -> ServerAccount:
    """Return the account to run servers as: our own or, under root, `unprivileged_user`.

    PostgreSQL refuses to run as root.

    Raises:
        ServerAccountError: under root, if `unprivileged_user` is unknown or is root itself.

    """
    if os.geteuid() != ROOT_USER_ID:
        return ServerAccount(f"user {os.geteuid()}", os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(unprivileged_user)
    except KeyError:
        raise ServerAccountError(
            f"PostgreSQL refuses to run as root, and there is no user {unprivileged_user!r} to run "
            "it as: name an existing unprivileged user, or run maywe as one"
        ) from None
    if entry.pw_uid == ROOT_USER_ID:
        raise ServerAccountError(
            f"PostgreSQL refuses to run as root, and {unprivileged_user!r} is root: "
            "name an unprivileged user"
        )
    return ServerAccount(f"user {unprivileged_user!r}", entry.pw_uid, entry.pw_gid)
