"""Strangers: who is not identified, and how often one host may be told so in a second.

What lives here: the counting, by the address that connections come from. It bounds what it costs to
look at tokens that do not hold. Whoever was identified before is not looked at here.
"""

import ipaddress
import time
from collections.abc import Callable
from typing import Final

from decision.errors import ErrorCode, OverloadedError
from service.access.limits import Allowance
from service.access.roles import CallerLimits

REFUSALS_PER_SECOND: Final = 50
"""Of one host. Behind a proxy all callers have its address, and while somebody floods it tokens
that were not seen before have to wait there."""

HOSTS_MAX: Final = 10_000
IPV6_NETWORK_BITS: Final = 64
"""What one machine may have of addresses."""


class Strangers:
    """Counts refused strangers by host. Safe to be used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._clock = clock
        self._limits = CallerLimits(REFUSALS_PER_SECOND)
        self._allowances: dict[str, Allowance] = {}

    @property
    def count_of_hosts(self) -> int:
        """How many hosts are told apart."""
        return len(self._allowances)

    def refuse_if_too_many(self, peer: str) -> None:
        """Raise OverloadedError while too many of a peer's host have been refused."""
        allowance = self._allowances.get(host_of(peer))
        if allowance is not None and not allowance.has_call(self._clock()):
            message = "too many that could not be identified come from there"
            raise OverloadedError(
                message,
                ErrorCode.CALLER_LIMIT,
                {"limit": "unidentified_per_second", "value": str(REFUSALS_PER_SECOND)},
            )

    def count(self, peer: str) -> None:
        """Count one that was refused."""
        host = host_of(peer)
        allowance = self._allowances.get(host)
        if allowance is None:
            if len(self._allowances) >= HOSTS_MAX:
                self._allowances.clear()
            allowance = self._allowances.setdefault(host, Allowance(self._limits))
        allowance.take_call(self._clock())


def host_of(peer: str) -> str:
    """Give the host of a peer as gRPC has it, such as "ipv4:10.0.0.7:41234"."""
    kind, _, rest = peer.partition(":")
    if kind == "ipv4":
        return rest.rpartition(":")[0]
    if kind != "ipv6":
        return kind
    # gRPC writes the brackets as in a URI.
    address = rest.replace("%5B", "[").replace("%5D", "]").rpartition("]:")[0].lstrip("[")
    try:
        # A zone, behind %25, is no part of the network.
        network = ipaddress.ip_network((address.partition("%")[0], IPV6_NETWORK_BITS), strict=False)
    except ValueError:
        return kind
    return str(network)
