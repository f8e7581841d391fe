"""The instruments of one process: by which those who run it see what it does.

What lives here: making them. What each is fed with is said where its parts are joined.
"""

from service.access.refusals import RefusalLog
from service.metrics.meters import Meters
from service.metrics.sampling import Sampler
from service.tracing import Tracer


class Instruments:
    """Counts, the log of refused calls, and spans where they are wanted."""

    def __init__(self, meters: Meters | None = None, tracer: Tracer | None = None) -> None:
        """Count with `meters`, or with some that nobody else reads; make spans by `tracer`."""
        self.meters = meters if meters is not None else Meters()
        self.sampler = Sampler(self.meters)
        self.refusals = RefusalLog()
        self.tracer = tracer
