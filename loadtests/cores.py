"""Cores: what runs where, and how much processor time it took.

What lives here: pinning and /proc. A server that is measured has a core of its own; whatever
loads it, and the stores, have the others.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ALL_CORES: Final = frozenset(os.sched_getaffinity(0))
SERVER_CORES: Final = frozenset({max(ALL_CORES)})
"""Where the server that is measured runs, alone."""

OTHER_CORES: Final = ALL_CORES - SERVER_CORES or ALL_CORES
"""Where its clients and its stores run. On a machine of one core, the same."""

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_USER_TIME_FIELD: Final = 11
_SYSTEM_TIME_FIELD: Final = 12
_PARENT_FIELD: Final = 1
"""Places in /proc/PID/stat after the name of the program, which may hold spaces."""

_STOLEN_FIELD: Final = 8
"""Place in the first line of /proc/stat."""


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Keep this thread, and every process and thread that it starts meanwhile, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(process_id: int) -> float:
    """Give the processor time of a process with all its threads, and of its descendants."""
    return _ticks(process_id) / _TICKS_PER_SECOND


def stolen_seconds() -> float:
    """Give how long the host has kept all cores from this machine since it was started."""
    all_cores = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
    return int(all_cores[_STOLEN_FIELD]) / _TICKS_PER_SECOND


def _ticks(process_id: int) -> int:
    fields = _stat(process_id)
    if fields is None:
        return 0
    own = int(fields[_USER_TIME_FIELD]) + int(fields[_SYSTEM_TIME_FIELD])
    return own + sum(_ticks(child) for child in _children(process_id))


def _children(process_id: int) -> list[int]:
    return [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and _parent(int(path.name)) == process_id
    ]


def _parent(process_id: int) -> int | None:
    fields = _stat(process_id)
    return None if fields is None else int(fields[_PARENT_FIELD])


def _stat(process_id: int) -> list[str] | None:
    """Give the fields after the program's name; None when there is no such process any more."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
