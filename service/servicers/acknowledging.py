"""Acknowledging writes: waiting a moment for the cache, and the answer that every write gives."""

from collections.abc import Mapping
from typing import Final

import grpc
from maywe.v1 import common_pb2

from decision.instants import Instant
from service.composition import Application
from service.conversion.writing import acknowledgement_message
from store.token import Token

APPLIED_WAIT_SECONDS_MAX: Final = 0.2
"""How long an answer is held back so that the cache shows the write. Nothing is promised by it."""


class Acknowledger:
    """Acknowledges what is committed."""

    def __init__(self, application: Application) -> None:
        """Wait for the projector of `application`, or of whoever projects into its cache."""
        self._application = application

    def wait_a_moment(self, positions: Mapping[int, int], context: grpc.ServicerContext) -> None:
        """Wait shortly until the cache shows the shards at their positions, or the caller goes."""
        remaining = context.time_remaining()
        seconds = APPLIED_WAIT_SECONDS_MAX
        if remaining is not None:
            # Half of what the caller has left, so that the answer still reaches them.
            seconds = min(seconds, remaining / 2)
        self._application.projector.wait_until_applied(positions, seconds)

    def acknowledge(
        self,
        recorded_at: Instant,
        *,
        is_repeated: bool,
        epoch: int,
        positions: Mapping[int, int],
        publication: int = 0,
    ) -> common_pb2.Acknowledgement:
        """Say that a write is durable, with the token of its positions or publication."""
        token = Token(epoch, positions, publication)
        return acknowledgement_message(token.encode(), recorded_at, is_repeated=is_repeated)
