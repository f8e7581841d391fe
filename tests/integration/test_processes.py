"""Child processes: kept running, ended in order, and gone with their parent."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from service.processes import ChildProgram, ChildStartError, child_processes
from tests.waiting import until

pytestmark = pytest.mark.integration

SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""

_CHILD: Final = """
import signal, sys
from service.processes import ParentLine
from service.stopping import told_to_stop
stop = told_to_stop()
line = ParentLine()
line.stop_with_parent(stop)
line.say_ready()
stop.wait()
open(sys.argv[1], "a").write("ended in order\\n")
"""

_PARENT: Final = """
import os, sys, threading, time
from service.processes import ChildProgram, child_processes
with child_processes([ChildProgram("child", sys.argv[1:], os.environ)], 30) as children:
    children.wait_until_ready(threading.Event())
    print(*children.process_ids, flush=True)
    time.sleep(3600)
"""


def program(source: str, *arguments: object) -> ChildProgram:
    """A child that runs a few lines of Python."""
    return ChildProgram("child", ["-c", source, *map(str, arguments)], dict(os.environ))


def test_children_end_in_order_with_their_context(tmp_path: Path) -> None:
    """Each hears SIGTERM, does what it has to, and is waited for."""
    note = tmp_path / "note"
    with child_processes([program(_CHILD, note)] * 2, SECONDS_MAX) as children:
        children.wait_until_ready(threading.Event())
        assert len(set(children.process_ids)) == 2
    assert note.read_text() == "ended in order\n" * 2
    assert children.process_ids == []


def test_a_child_that_was_killed_is_started_again(tmp_path: Path) -> None:
    """The others go on meanwhile."""
    with child_processes([program(_CHILD, tmp_path / "note")] * 2, SECONDS_MAX) as children:
        children.wait_until_ready(threading.Event())
        killed, other = children.process_ids
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in children.process_ids and len(children.process_ids) == 2)
        assert other in children.process_ids
        assert children.restarts == 1


def test_a_child_that_ends_before_it_is_ready_is_said() -> None:
    """The error names it and how it ended."""
    with (
        child_processes([program("raise SystemExit(3)")], SECONDS_MAX) as children,
        pytest.raises(ChildStartError, match=r"child .* status 3"),
    ):
        children.wait_until_ready(threading.Event())


def test_nobody_waits_for_a_child_once_told_to_stop(tmp_path: Path) -> None:
    """One that never gets ready is ended in order like any other."""
    note = tmp_path / "note"
    never_ready = _CHILD.replace("line.say_ready()", 'open(sys.argv[1], "a").write("began\\n")')
    stop = threading.Event()
    with child_processes([program(never_ready, note)], SECONDS_MAX) as children:
        until(lambda: note.exists() and note.read_text() == "began\n")
        stop.set()
        children.wait_until_ready(stop)
    assert note.read_text() == "began\nended in order\n"


def test_a_child_that_does_not_end_is_killed() -> None:
    """Nothing is left of it, whatever it ignores."""
    stubborn = _CHILD.replace(
        "line.say_ready()", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nline.say_ready()"
    )
    with child_processes([program(stubborn, os.devnull)], 0.1) as children:
        children.wait_until_ready(threading.Event())
        [number] = children.process_ids
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_children_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    """They see it by the line, and end in order."""
    note = tmp_path / "note"
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, "-c", _CHILD, str(note)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline())
        parent.kill()
        until(lambda: note.exists() and note.read_text() == "ended in order\n")
