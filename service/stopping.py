"""Being told to stop: SIGTERM and SIGINT, as an event for threads to wait for.

What lives here: the way from a signal to that event. A handler runs in the main thread between any
two of its instructions, also while it holds the lock of the event that it is about to wait for;
setting the event there would wait for that lock for ever. So a handler only puts into a queue that
is made for it, and a thread of its own sets the event.
"""

import signal
import threading
from queue import SimpleQueue


def told_to_stop() -> threading.Event:
    """Give what is set as soon as this process is told to stop. For the main thread."""
    stop = threading.Event()
    # Its `put` may interrupt another: https://docs.python.org/3/library/queue.html
    told: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))

    def wait() -> None:
        told.get()
        stop.set()

    threading.Thread(target=wait, name="maywe stopping", daemon=True).start()
    return stop
