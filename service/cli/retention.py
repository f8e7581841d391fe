"""`maywe retention`: what the database holds, since when, and pruning what need not be kept.

What lives here: the commands; a worker does the same by itself. They ask no server.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import click

from decision.instants import Instant, format_instant
from service.cli.exits import Exit, Group, trouble
from service.cli.output import number, standard_output
from service.cli.stores import opened_stores, works_on_stores
from service.setting_table import SETTINGS
from service.settings import Settings, SettingsError, read_settings
from store.journal_days import NOTHING_DONE, JournalDays
from store.retention import SECONDS_PER_DAY, Holdings, OutboxPruner, read_holdings

_BYTES_PER_MEBIBYTE: Final = 1024 * 1024

_DAYS: Final = [setting for setting in SETTINGS if setting.name in {"outbox_days", "journal_days"}]


def _with_days(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how long things are kept."""
    for setting in reversed(_DAYS):
        command = click.option(setting.flag, setting.name, metavar="DAYS", help=f"{setting.help}.")(
            command
        )
    return command


@click.group("retention", cls=Group)
def retention() -> None:
    """Show what the database holds, and prune what need not be kept any longer."""


@retention.command("show")
@works_on_stores
@_with_days
def show(*, is_json: bool, **flags: str | None) -> None:
    """Show how much every table holds, and how far the ledger and the outbox go back."""
    output = standard_output(is_json=is_json)
    settings = _settings(flags)
    with opened_stores(flags) as stores:
        found = read_holdings(stores.engine)
    if is_json:
        kept = {"outboxDays": settings.outbox_days, "journalDays": settings.journal_days}
        output.json({**_document(found), **kept})
        return
    output.fields(
        [
            ("ledger from", _instant(found.ledger_from)),
            ("outbox from", _instant(found.outbox_from)),
            ("outbox kept", _days(settings.outbox_days)),
            ("journal kept", _days(settings.journal_days)),
        ]
    )
    output.table(
        ["table", "rows, about", "MiB", "MiB of indexes"],
        [
            (
                table.name,
                number(table.rows),
                _mebibytes(table.table_bytes),
                _mebibytes(table.index_bytes),
            )
            for table in found.tables
        ],
    )


@retention.command("run")
@works_on_stores
@_with_days
def run(*, is_json: bool, **flags: str | None) -> None:
    """Remove now what a worker would remove by and by.

    Beside running servers, in steps of some milliseconds; it may be interrupted at any time. Rows
    of the outbox that Redis does not show as applied stay, however old they are, and all of them
    while it does not answer.
    """
    output = standard_output(is_json=is_json)
    settings = _settings(flags)
    rows = 0
    stop = threading.Event()
    with opened_stores(flags) as stores:
        if settings.outbox_days:
            kept_seconds = settings.outbox_days * SECONDS_PER_DAY
            rows = OutboxPruner(stores.engine, stores.cache, kept_seconds).run_pending(stop)
        kept = NOTHING_DONE
        if settings.journal_days:
            kept = JournalDays(stores.engine, settings.journal_days).run_pending(stop)
    if is_json:
        output.json(
            {
                "outboxRowCount": rows,
                "journalDayCount": kept.dropped,
                "journalRowCount": kept.rows_removed,
            }
        )
        return
    output.fields(
        [
            ("rows of the outbox removed", number(rows)),
            ("days of the journal removed", number(kept.dropped)),
            ("other rows of the journal removed", number(kept.rows_removed)),
        ]
    )


def _settings(flags: dict[str, str | None]) -> Settings:
    try:
        return read_settings(flags, os.environ)
    except SettingsError as error:
        raise trouble(str(error), Exit.USAGE) from error


def _days(count: int) -> str:
    return f"{count} days" if count else "for ever"


def _document(found: Holdings) -> dict[str, object]:
    return {
        "ledgerFrom": _instant(found.ledger_from) or None,
        "outboxFrom": _instant(found.outbox_from) or None,
        "tables": [
            {
                "name": table["name"],
                "rowCount": table["rows"],
                "tableBytes": table["table_bytes"],
                "indexBytes": table["index_bytes"],
            }
            for table in map(asdict, found.tables)
        ],
    }


def _instant(instant: Instant | None) -> str:
    return "" if instant is None else format_instant(instant)


def _mebibytes(count: int) -> str:
    return f"{count / _BYTES_PER_MEBIBYTE:.1f}"
