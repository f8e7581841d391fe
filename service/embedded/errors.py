"""What can go wrong with the embedded servers: one exception tree.

Here live exceptions only. The text of each says what happened and what to do about it; it names
paths and accounts of this machine, so it is for the operator and never goes into an answer.
"""


class EmbeddedServerError(Exception):
    """The embedded servers cannot be used."""


class ServerAccountError(EmbeddedServerError):
    """The account that the servers should run as does not exist or will not do."""


class ServerBinariesError(EmbeddedServerError):
    """The server programs are missing, or a copy of them cannot be trusted or reached."""


class DataDirectoryError(EmbeddedServerError):
    """The data directory cannot be used: unreachable, foreign or not ours."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process runs its servers on the same data directory."""


class ServerStartError(EmbeddedServerError):
    """A server ended while starting, or was not ready in time."""


class ServerStopError(EmbeddedServerError):
    """A server did not end although it was told to by every means."""
