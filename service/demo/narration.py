"""How the demonstration speaks, and how it checks what it sees.

What lives here: headings with the time passed, and `expect`, which ends the demonstration when an
answer is not the right one.
"""

import time
from typing import Final

from service.cli.output import Cell, Output, standard_output

SECONDS_PER_MINUTE: Final = 60


class DemoFailedError(Exception):
    """The demonstration went otherwise than it must; the message says what was expected."""


class Narrator:
    """Tells the story on the standard output."""

    def __init__(self) -> None:
        self.output: Output = standard_output()
        self._began = time.monotonic()
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        minutes, seconds = divmod(int(time.monotonic() - self._began), SECONDS_PER_MINUTE)
        self.output.heading(f"── {self._chapter}. {title}  [{minutes}:{seconds:02d}]")
        # A reader of a pipe sees each chapter as it begins.
        self.output.stream.flush()

    def say(self, *parts: Cell) -> None:
        """Say one line."""
        self.output.line(*parts)
        self.output.stream.flush()


def expect(what: str, actual: object, expected: object) -> None:
    """Check what was seen. Raises DemoFailedError."""
    if actual != expected:
        raise DemoFailedError(f"{what}: expected {expected}, got {actual}")


def expect_that(what: str, *, holds: bool) -> None:
    """Check that something holds. Raises DemoFailedError."""
    if not holds:
        raise DemoFailedError(f"expected that {what}")
