"""One `ImportEvents` stream: sending and receiving in step.

What lives here: the order of messages and the end of the stream. What is sent, and what happens
when the stream breaks, is `sending`'s.
"""

from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from maywe.v1.writer_pb2 import (
    ImportEventsRequest,
    ImportEventsResponse,
    ImportProgress,
    ImportResume,
    ImportStart,
    ImportSummary,
)

from service.client import ImportEventsCall

STREAM_SECONDS_MAX: Final = 1_800.0
"""After this a stream is begun anew and goes on: so nothing waits without end."""


class StreamBrokenError(Exception):
    """The stream ended, or went on, otherwise than the contract says."""


class ImportStream:
    """A stream of one import, used as a context manager that leaves nothing of it running.

    Every method may raise grpc.RpcError or StreamBrokenError.
    """

    def __init__(self, import_events: ImportEventsCall, import_id: str) -> None:
        self.import_id = import_id
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._call = import_events(iter(self._requests.get, None), timeout=STREAM_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Releases the thread that takes from the queue, whether or not the call has ended.
        self._requests.put(None)
        self._call.cancel()

    def start(self) -> ImportResume:
        """Name the import, and hear where it goes on."""
        request = ImportEventsRequest(start=ImportStart(import_id=self.import_id))
        self._requests.put(request.SerializeToString())
        return self._receive("resume").resume

    def send(self, chunk: bytes) -> None:
        """Send the bytes of an ImportEventsRequest; the answer is one of the next received."""
        self._requests.put(chunk)

    def receive_progress(self) -> ImportProgress:
        """Wait for the answer to the oldest chunk that is not answered."""
        return self._receive("progress").progress

    def finish(self) -> ImportSummary:
        """Say that nothing more comes, and hear the sum. Every chunk must have been answered."""
        self._requests.put(None)
        return self._receive("summary").summary

    def _receive(self, expected: str) -> ImportEventsResponse:
        try:
            response: ImportEventsResponse = next(self._call)
        except StopIteration as end:
            raise StreamBrokenError(f"the writer ended the import before {expected}") from end
        received = response.WhichOneof("part")
        if received != expected:
            raise StreamBrokenError(f"the writer sent {received} instead of {expected}")
        return response
