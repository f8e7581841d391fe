"""Exit statuses, and the class of command that keeps to them.

What lives here: the only place that turns what happened into a status; docs/command-line.md lists
them. A status of 1 says "no" after consideration, so nothing else may end with it: neither a typing
error, nor an interruption, nor a defect.
"""

import os
import sys
import traceback
from enum import IntEnum
from typing import Any, Final, TypeVar

import click

from service.client import ClientProblemError, Outcome
from service.client.credentials import CredentialsError

_Exception = TypeVar("_Exception", bound=click.ClickException)


class Exit(IntEnum):
    """The exit statuses."""

    DONE = 0
    """Done; of a check: allowed."""

    NO = 1
    """Denied, refused, or faults found."""

    NOT_KNOWN = 2
    """No answer could be had: no server, no store behind it, not in time."""

    USAGE = 64
    """The command line or an argument is wrong."""

    DEFECT = 70
    """A defect of this program."""

    INTERRUPTED = 130
    """Interrupted from the keyboard."""


_STATUS_OF: Final = {
    Outcome.INVALID: Exit.USAGE,
    Outcome.REFUSED: Exit.NO,
    Outcome.NOT_KNOWN: Exit.NOT_KNOWN,
}


def trouble(message: str, status: Exit) -> click.ClickException:
    """Give an exception that ends the command with one line and a status."""
    return _with_status(click.ClickException(message), status)


def _with_status(exception: _Exception, status: Exit) -> _Exception:
    # Click reads it from the exception; only its types say that it belongs to the class.
    exception.exit_code = status  # type: ignore[misc]
    return exception


class Command(click.Command):
    """A command that turns every trouble into one line and the right status."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as the class above has it
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _with_status(error, Exit.USAGE)  # noqa: B904 - the same exception

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as the class above has it
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _with_status(error, Exit.USAGE)  # noqa: B904 - the same exception
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except ClientProblemError as error:
            raise trouble(str(error), _STATUS_OF[error.outcome]) from error
        except CredentialsError as error:
            raise trouble(str(error), Exit.USAGE) from error
        except BrokenPipeError:
            # Whoever read our output, `head` for one, has seen enough. That is no answer, so it
            # may not end as one; and the interpreter must find nothing left to flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.INTERRUPTED)
        except OSError as error:
            raise trouble(_file_problem(error), Exit.USAGE) from error
        except Exception:  # noqa: BLE001 - the interpreter's own status for it would mean "denied"
            traceback.print_exc()
            ctx.exit(Exit.DEFECT)


class Group(click.Group):
    """A group of commands, with the same statuses."""

    command_class = Command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as the class above has it
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _with_status(error, Exit.USAGE)  # noqa: B904 - the same exception

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise _with_status(error, Exit.USAGE)  # noqa: B904 - the same exception


Group.group_class = Group


def _file_problem(error: OSError) -> str:
    problem = error.strerror or str(error)
    return f"{error.filename}: {problem}" if error.filename else problem
