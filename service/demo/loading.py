"""The demonstration's first half: publishing the starter catalog and importing the history.

What lives here: steps that fill the system, each with the counts it must arrive at.
"""

import csv
from pathlib import Path
from typing import Final

from maywe.v1.catalog_pb2 import PublishRequest

from service.cli.catalog_wait import wait_until_effective
from service.cli.import_view import ImportProgressView, show_outcome
from service.cli.output import number
from service.client import Client, answers_from, company_zone
from service.demo.history import (
    CONSENTS_MAPPING_PATH,
    PRODUCTS_MAPPING_PATH,
    History,
)
from service.demo.narration import Narrator, expect, expect_that
from service.importing.progress import ImportAdvance, ImportOutcome
from service.importing.sending import ImportTask, import_task, send_file
from service.starter import STARTER_CATALOG_PATH

PUBLICATION_SECONDS_MAX: Final = 120.0
INTERRUPTED_AT_SHARE: Final = 0.4
REJECTS_SHOWN_MAX: Final = 6
REASON_CHARACTERS_SHOWN_MAX: Final = 110


def publish_starter_catalog(narrator: Narrator, client: Client) -> str:
    """Publish the starter catalog and give its document."""
    narrator.chapter("The starter catalog is published")
    document = STARTER_CATALOG_PATH.read_text(encoding="utf-8")
    with answers_from(client.writer_address):
        response = client.catalog.Publish(
            PublishRequest(
                publication_id="demo-starter",
                document=document,
                publisher="demonstration",
                comment="starter catalog",
                expected_number=0,
            )
        )
    wait_until_effective(client, response.number, PUBLICATION_SECONDS_MAX)
    expect("number of the first publication", response.number, 1)
    narrator.say(
        f"publication {response.number}: purposes, channels, partners, consent types with their "
        "wordings in Russian and English, and the matrix of products"
    )
    return document


def import_history(narrator: Narrator, client: Client, history: History) -> None:
    """Import both files and check every count against what the generator wrote."""
    narrator.chapter("Ten years of history are imported")
    with answers_from(client.writer_address):
        zone = company_zone(client.catalog)
    products, consents = history.products, history.consents
    task = import_task(products.path, PRODUCTS_MAPPING_PATH, zone)
    _interrupted_import(narrator, client, task)
    outcome = _import(narrator, client, task)
    _check_counts(
        outcome,
        products.event_lines,
        # What workers had recorded ahead, when it was interrupted, is a repetition the next time.
        max(products.repeats, outcome.repeated),
        products.bad_lines,
        refused=0,
    )
    outcome = _import(narrator, client, import_task(consents.path, CONSENTS_MAPPING_PATH, zone))
    _check_counts(
        outcome,
        consents.event_lines,
        consents.repeats,
        consents.bad_lines,
        refused=consents.refused_lines,
    )


class _InterruptingView(ImportProgressView):
    """Interrupts the import part of the way, as an impatient operator would."""

    is_interrupted = False

    def advanced(self, advance: ImportAdvance) -> None:
        """Show how far the import is, or interrupt it."""
        super().advanced(advance)
        if advance.bytes_done >= advance.bytes_total * INTERRUPTED_AT_SHARE:
            self.is_interrupted = True
            raise KeyboardInterrupt


def _interrupted_import(narrator: Narrator, client: Client, task: ImportTask) -> None:
    view = _InterruptingView(task.path.name)
    try:
        with view:
            send_file(task, client.import_events, client.writer_address, view)
    except KeyboardInterrupt:
        if not view.is_interrupted:
            raise
        narrator.say(f"{task.path.name} was interrupted on purpose; the same command goes on")


def _import(narrator: Narrator, client: Client, task: ImportTask) -> ImportOutcome:
    with ImportProgressView(task.path.name) as view:
        outcome = send_file(task, client.import_events, client.writer_address, view)
    narrator.output.heading(task.path.name)
    show_outcome(narrator.output, outcome)
    if outcome.rejects_file is not None:
        narrator.say("rejected, for example:")
        _show_rejects(narrator, outcome.rejects_file)
    return outcome


def _check_counts(
    outcome: ImportOutcome, event_lines: int, repeats: int, bad_lines: int, *, refused: int
) -> None:
    expect_that("the counts of the import add up", holds=outcome.adds_up)
    expect("lines accepted", outcome.accepted, event_lines - repeats)
    expect("lines repeated", outcome.repeated, repeats)
    expect("lines rejected by their form", outcome.tally.rejects, bad_lines)
    expect("lines rejected by the writer", outcome.rejected_by_writer, refused)


def _show_rejects(narrator: Narrator, path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    step = max(1, len(rows) // REJECTS_SHOWN_MAX)
    narrator.output.table(
        ("line", "reason"),
        [
            (number(int(row[0])), row[1][:REASON_CHARACTERS_SHOWN_MAX])
            for row in rows[::step][:REJECTS_SHOWN_MAX]
        ],
    )
