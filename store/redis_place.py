"""Where Redis is: the URL that names one server, or a cluster by some of its servers.

What lives here: reading such URLs, without I/O. Connecting is `redis_node`'s business.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

CLUSTER_MARK: Final = "+cluster"

_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
_CLUSTER_SCHEMES: Final = frozenset({"redis", "rediss"})

_ADVICE: Final = (
    "write redis://HOST:PORT/0, rediss:// for TLS, unix:///PATH, or for a cluster "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss+cluster:// for TLS)"
)


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """One server, or a cluster of which some servers are named.

    `urls` has the form that redis-py takes, with the login and the options of the whole.
    """

    is_cluster: bool
    urls: tuple[str, ...]

    def url_of(self, host: str, port: int) -> str:
        """Give the URL of another server of the same cluster: the same login and options."""
        return _with_host(urlsplit(self.urls[0]), f"[{host}]" if ":" in host else host, port)


def parse_redis_url(text: str) -> RedisPlace:
    """Read a URL. A cluster is `redis+cluster://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]`.

    Raises ValueError with what would be right, and nothing of the text: it may have a password.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_ADVICE) from None
    scheme = parts.scheme.removesuffix(CLUSTER_MARK)
    is_cluster = parts.scheme != scheme
    if scheme not in (_CLUSTER_SCHEMES if is_cluster else _SCHEMES):
        raise ValueError(_ADVICE)
    if not is_cluster:
        _check_port(parts)
        return RedisPlace(is_cluster=False, urls=(text,))
    # A cluster has one database only.
    if parts.path not in {"", "/", "/0"}:
        raise ValueError(_ADVICE)
    login, at, hosts = parts.netloc.rpartition("@")
    named = [parts._replace(scheme=scheme, netloc=login + at + host) for host in hosts.split(",")]
    for server in named:
        _check_port(server)
        if not server.hostname:
            raise ValueError(_ADVICE)
    return RedisPlace(is_cluster=True, urls=tuple(server.geturl() for server in named))


def name_of(url: str) -> str:
    """Name a server for logs, without its login: HOST:PORT or the socket's path."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def host_of(url: str) -> str:
    """Give the host of a server of a cluster."""
    return urlsplit(url).hostname or ""


def _with_host(parts: SplitResult, host: str, port: int) -> str:
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{host}:{port}").geturl()


def _check_port(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(_ADVICE) from None
