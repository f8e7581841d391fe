"""Acknowledging writes: making them effective, and the answer that every write gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import grpc
from maywe.v1 import common_pb2, writer_pb2

from decision.events import NewEvent
from service.application import Application
from service.conversion.writing import acknowledgement_message
from store.erasing import Progress
from store.floors import Narrowing, joined_narrowings
from store.outcomes import Recorded
from store.publishing import PublicationRecorded
from store.token import Token

APPLIED_WAIT_SECONDS_MAX: Final = 0.2
"""How long an answer is held back so that the cache shows what was given. Nothing is promised by
it, and a Redis that does not answer is not waited for."""

ANSWER_RESERVE_SHARE: Final = 0.2
"""What is left of the caller's time when waiting ends, so that the answer still reaches them."""


_ERASURE_PROGRESS: Final = {
    Progress.NOTHING_HELD: writer_pb2.ERASURE_PROGRESS_NOTHING_HELD,
    Progress.UNDER_WAY: writer_pb2.ERASURE_PROGRESS_UNDER_WAY,
    Progress.COMPLETE: writer_pb2.ERASURE_PROGRESS_COMPLETE,
}


class Acknowledger:
    """Acknowledges what is committed."""

    def __init__(self, application: Application) -> None:
        """Make effective what `application` records."""
        self._application = application

    def acknowledge(
        self,
        recorded: Recorded,
        context: grpc.ServicerContext,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> common_pb2.Acknowledgement:
        """Acknowledge an event: EFFECTIVE once no check can miss it, if that is soon enough.

        What takes nothing away is effective by itself, for nothing that was there before is wrong;
        it is held back a moment instead, so that who gives a consent sees it count. `meanwhile` is
        done in any case, before anything is waited for.
        """
        if recorded.narrowing.is_empty:
            meanwhile()
            self._wait_a_moment(recorded.positions, context)
            is_effective = recorded.is_epoch_settled
        else:
            try:
                is_effective = self._application.effectuator.make_effective(
                    recorded.narrowing, self._seconds_for(context), meanwhile=meanwhile
                )
            finally:
                self._application.projector.announce(recorded.positions)
        return acknowledgement_message(
            Token(recorded.epoch, recorded.positions, 0).encode(),
            recorded.recorded_at,
            is_repeated=recorded.is_repeated,
            is_effective=is_effective,
        )

    def acknowledge_publication(
        self, recorded: PublicationRecorded, context: grpc.ServicerContext
    ) -> common_pb2.Acknowledgement:
        """Acknowledge a publication, which always may take something away."""
        return acknowledgement_message(
            # The publication itself is what the token stands for.
            Token(recorded.epoch, {}, recorded.number).encode(),
            recorded.recorded_at,
            is_repeated=recorded.is_repeated,
            is_effective=self._application.effectuator.make_effective(
                recorded.narrowing, self._seconds_for(context)
            ),
        )

    def erase(
        self, new: NewEvent, context: grpc.ServicerContext
    ) -> writer_pb2.EraseCustomerResponse:
        """Erase a customer as far as the time is enough, and acknowledge that nothing counts."""
        application = self._application
        erased = application.eraser.erase(new, self._seconds_for(context))
        begun, removed = erased.begun, erased.removed
        acknowledgement = None
        if begun.narrowing is not None:
            acknowledgement = acknowledgement_message(
                Token(begun.epoch, begun.positions, 0).encode(),
                begun.recorded_at,
                is_repeated=begun.is_repeated,
                is_effective=erased.is_effective,
            )
        return writer_pb2.EraseCustomerResponse(
            acknowledgement=acknowledgement,
            progress=_ERASURE_PROGRESS[erased.progress],
            event_id="" if erased.progress is Progress.NOTHING_HELD else begun.event_id,
            customer_id_count=removed.customer_ids,
            event_count=removed.events,
            naming_event_id_count=removed.event_ids_naming,
        )

    def make_chunk_effective(
        self, narrowings: Sequence[Narrowing], context: grpc.ServicerContext
    ) -> bool:
        """Make effective what the events of a chunk took away, all of it together.

        MUST be called in a thread for which nobody else waits.
        """
        if not narrowings:
            return True
        if len({narrowing.epoch for narrowing in narrowings}) > 1:
            # It was recorded across the end of an epoch, after which part of it may be lost.
            return False
        return self._application.effectuator.make_effective(
            joined_narrowings(narrowings), self._seconds_for(context), has_own_thread=True
        )

    def make_past_effective(self, context: grpc.ServicerContext) -> bool:
        """Make effective whatever was committed before this call.

        MUST be called in a thread for which nobody else waits: it takes as long as a lease.
        """
        return self._application.effectuator.outlive_leases(self._seconds_for(context))

    def _seconds_for(self, context: grpc.ServicerContext) -> float:
        return _within(self._application.settings.effective_wait_seconds, context)

    def _wait_a_moment(self, positions: Mapping[int, int], context: grpc.ServicerContext) -> None:
        cache = self._application.cache
        if any(cache.is_shard_lost(number) for number in positions):
            return
        seconds = _within(APPLIED_WAIT_SECONDS_MAX, context)
        self._application.projector.wait_until_applied(positions, seconds)


def _within(seconds: float, context: grpc.ServicerContext) -> float:
    """Give how long to wait: `seconds`, or what the caller can spare if that is less."""
    remaining = context.time_remaining()
    if remaining is not None:
        seconds = min(seconds, remaining * (1 - ANSWER_RESERVE_SHARE))
    return seconds
