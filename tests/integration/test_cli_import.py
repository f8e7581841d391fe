"""`maywe import`: counts that add up, rejects with their reasons, and going on without doubling."""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from maywe.v1 import catalog_pb2
from maywe.v1.consent_pb2 import ListEventsRequest

from service.client import open_client
from service.importing import chunks, rejects_path
from service.importing.progress import ImportAdvance, ImportOutcome
from service.importing.sending import ImportStoppedError, ImportTask, import_task, send_file
from tests.integration.command_line import one_line, run
from tests.integration.service_builders import catalog
from tests.running import RunningMaywe, running_maywe

pytestmark = pytest.mark.integration

MAPPING: Final = """
format: csv
delimiter: ","
kind: consent
event_id: {column: id}
fields:
  customer: customer
  at: at
  consent_type: type
  value: {constant: granted}
"""
HEADER: Final = "id,customer,at,type"
EVENTS_PER_CHUNK: Final = 3


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks so small that a short file has several."""
    monkeypatch.setattr(chunks, "EVENTS_PER_CHUNK_MAX", EVENTS_PER_CHUNK)


@pytest.fixture
def bank(maywe: RunningMaywe) -> RunningMaywe:
    """A system with a catalog."""
    maywe.publish(catalog())
    return maywe


class Onlooker:
    """Remembers what an import told, and may interrupt it when enough lines are settled."""

    def __init__(self, interrupt_after_lines: int | None = None) -> None:
        self.advances: list[ImportAdvance] = []
        self.problems: list[str] = []
        self.passes = 1
        self._interrupt_after_lines = interrupt_after_lines

    def advanced(self, advance: ImportAdvance) -> None:
        """Remember, and interrupt when it is time."""
        self.advances.append(advance)
        if self._interrupt_after_lines and advance.lines >= self._interrupt_after_lines:
            raise KeyboardInterrupt

    def interrupted(self, problem: str, wait_seconds: float) -> None:
        """Remember what broke."""
        assert wait_seconds > 0
        self.problems.append(problem)

    def began_again(self) -> None:
        """Count the passes."""
        self.passes += 1


def line(number: int, consent_type: str = "marketing", at: str = "2024-05-01") -> str:
    """Give a line of the file: a consent of a customer of its own."""
    return f"e{number},customer {number},{at},{consent_type}"


def files(directory: Path, lines: list[str]) -> tuple[Path, Path]:
    """Write a file of lines and its mapping."""
    path, mapping_path = directory / "consents.csv", directory / "mapping.yaml"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    mapping_path.write_text(MAPPING, encoding="utf-8")
    return path, mapping_path


def task_of(directory: Path, lines: list[str]) -> ImportTask:
    """Give the task of importing lines."""
    return import_task(*files(directory, lines), catalog_zone())


def catalog_zone() -> ZoneInfo:
    """Give the zone of the catalog of these tests."""
    return ZoneInfo(catalog()["zone"])


def send(maywe: RunningMaywe, task: ImportTask, onlooker: Onlooker) -> ImportOutcome:
    """Import."""
    return send_file(task, maywe.client.import_events, maywe.address, onlooker)


def rejected(path: Path) -> list[tuple[int, str]]:
    """Give the lines of the rejects file with their reasons."""
    with rejects_path(path).open(encoding="utf-8-sig", newline="") as stream:
        return [(int(row[0]), row[1]) for row in list(csv.reader(stream))[1:]]


def recorded_event_ids(maywe: RunningMaywe) -> list[str]:
    """Give the id of every event in the ledger."""
    events = maywe.client.consent.ListEvents(ListEventsRequest(page_size=1000)).events
    return [event.event.consent.event_id for event in events]


def test_every_line_is_accounted_for(bank: RunningMaywe, tmp_path: Path) -> None:
    """Lines are accepted, repeated, rejected by form or by meaning, blank, or the header."""
    lines = [
        line(1),
        line(2, consent_type="loyalty"),
        line(3, at="yesterday"),
        "",
        line(1),
        '"e4","customer\n4",2024-05-01,marketing',
        line(5),
    ]
    path, mapping_path = files(tmp_path, lines)
    finished = run(
        "import", str(path), "--mapping", str(mapping_path), "--json", address=bank.address
    )
    assert finished.status == 0, finished
    counts = finished.json
    assert counts.pop("importId").startswith("file-")
    assert counts == {
        "lineCount": 9,
        "acceptedCount": 2,
        "repeatedCount": 1,
        "rejectedCount": 3,
        "rejectedByFormCount": 2,
        "rejectedByWriterCount": 1,
        "headerCount": 1,
        "blankCount": 1,
        "continuedCount": 1,
        "settledBeforeCount": 0,
        "addsUp": True,
        "rejectsFile": str(rejects_path(path)),
        "durability": "DURABILITY_EFFECTIVE",
    }
    assert [number for number, _ in rejected(path)] == [3, 4, 7]
    reasons = [reason for _, reason in rejected(path)]
    assert "consent_type: 'loyalty'" in reasons[0]
    assert "obtained_at: 'yesterday'" in reasons[1]
    assert "control character" in reasons[2]


def test_the_table_says_that_the_sum_adds_up(bank: RunningMaywe, tmp_path: Path) -> None:
    """Without rejects there is no rejects file, and the table says so by leaving it out."""
    path, mapping_path = files(tmp_path, [line(1)])
    finished = run("import", str(path), "--mapping", str(mapping_path), address=bank.address)
    assert finished.status == 0
    assert "adds up" in finished.out
    assert "rejects file" not in finished.out
    assert not rejects_path(path).exists()


def test_a_file_without_a_single_event_is_imported(bank: RunningMaywe, tmp_path: Path) -> None:
    """A header alone, or nothing but bad lines, is no error of the import."""
    assert send(bank, task_of(tmp_path, []), Onlooker()).adds_up
    outcome = send(bank, task_of(tmp_path, ["nonsense"]), Onlooker())
    assert (outcome.adds_up, outcome.rejected) == (True, 1)


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_import_goes_on(bank: RunningMaywe, tmp_path: Path) -> None:
    """Nothing is doubled or lost, and rejects of both runs stand in one file in order."""
    lines = [line(number, "loyalty" if number % 5 == 0 else "marketing") for number in range(1, 21)]
    lines[1] = line(2, at="?")
    task = task_of(tmp_path, lines)
    with pytest.raises(KeyboardInterrupt):
        send(bank, task, Onlooker(interrupt_after_lines=8))
    assert not rejects_path(task.path).exists()
    outcome = send(bank, task, Onlooker())
    assert outcome.adds_up
    assert (outcome.tally.rejects, outcome.rejected_by_writer) == (1, 4)
    assert outcome.accepted + outcome.repeated == 15
    assert [number for number, _ in rejected(task.path)] == [3, 6, 11, 16, 21]
    assert len(recorded_event_ids(bank)) == len(set(recorded_event_ids(bank))) == 15


@pytest.mark.usefixtures("small_chunks")
def test_rejects_that_were_lost_are_told_again(bank: RunningMaywe, tmp_path: Path) -> None:
    """With the unfinished rejects file gone the file is sent once more, and doubles nothing."""
    lines = [line(number, "loyalty" if number == 2 else "marketing") for number in range(1, 21)]
    task = task_of(tmp_path, lines)
    with pytest.raises(KeyboardInterrupt):
        send(bank, task, Onlooker(interrupt_after_lines=8))
    for leftover in tmp_path.glob("*.partial"):
        leftover.unlink()
    onlooker = Onlooker()
    outcome = send(bank, task, onlooker)
    assert onlooker.passes == 2
    assert outcome.adds_up
    assert [number for number, _ in rejected(task.path)] == [3]
    assert len(recorded_event_ids(bank)) == 19


@pytest.mark.usefixtures("small_chunks")
def test_a_reject_that_a_crash_cut_short_is_told_again(bank: RunningMaywe, tmp_path: Path) -> None:
    """Its line is settled, so the file is sent once more rather than half a line be shown."""
    lines = [line(number, "loyalty" if number == 2 else "marketing") for number in range(1, 21)]
    task = task_of(tmp_path, lines)
    with pytest.raises(KeyboardInterrupt):
        send(bank, task, Onlooker(interrupt_after_lines=8))
    [partial] = tmp_path.glob("*.partial")
    partial.write_bytes(partial.read_bytes()[:-5])
    onlooker = Onlooker()
    outcome = send(bank, task, onlooker)
    assert onlooker.passes == 2
    assert outcome.adds_up
    assert lines[1] in rejects_path(task.path).read_text(encoding="utf-8-sig")


def test_derived_ids_double_nothing(bank: RunningMaywe, tmp_path: Path) -> None:
    """The rows of one file in another, imported into the same installation, are repeats."""
    path, mapping_path = files(tmp_path, [line(1), line(2)])
    mapping_path.write_text(MAPPING.replace("{column: id}", "derive"), encoding="utf-8")
    first = send(bank, import_task(path, mapping_path, catalog_zone()), Onlooker())
    assert (first.accepted, first.repeated) == (2, 0)
    more = [line(3), line(2), "", line(1)]
    path.write_text("\n".join([HEADER, *more]) + "\n", encoding="utf-8")
    second = send(bank, import_task(path, mapping_path, catalog_zone()), Onlooker())
    assert (second.accepted, second.repeated, second.rejected) == (1, 2, 0)
    assert len(recorded_event_ids(bank)) == 3


def test_lines_rejected_for_a_code_get_in_once_the_catalog_knows_it(
    bank: RunningMaywe, tmp_path: Path
) -> None:
    """The same command after the publication accepts them; what was accepted is repeated."""
    task = task_of(tmp_path, [line(1), line(2, "loyalty")])
    assert send(bank, task, Onlooker()).rejected_by_writer == 1
    types = catalog()["consent_types"]
    bank.publish(catalog(consent_types=[*types, {"code": "loyalty"}]))
    outcome = send(bank, task, Onlooker())
    assert (outcome.accepted, outcome.repeated, outcome.rejected) == (1, 1, 0)
    assert not rejects_path(task.path).exists()


def test_a_finished_import_is_known_again(bank: RunningMaywe, tmp_path: Path) -> None:
    """The same file imported again sends nothing and says what it had come to."""
    task = task_of(tmp_path, [line(1), line(2)])
    send(bank, task, Onlooker())
    outcome = send(bank, task, Onlooker())
    assert (outcome.accepted, outcome.settled_before, outcome.adds_up) == (2, 2, True)


@pytest.mark.usefixtures("small_chunks")
def test_an_import_survives_its_server(
    database_url: str, redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    """With the server gone and back on its address the import goes on by itself."""
    task = task_of(tmp_path, [line(number) for number in range(1, 41)])
    with ExitStack() as second, ExitStack() as first:
        maywe = first.enter_context(running_maywe(database_url, redis_url, redis_namespace))
        maywe.publish(catalog())

        class Saboteur(Onlooker):
            """Stops the server when the first chunks are settled."""

            def advanced(self, advance: ImportAdvance) -> None:
                super().advanced(advance)
                if advance.lines > EVENTS_PER_CHUNK:
                    first.close()

        def start_again(_: float) -> None:
            second.close()
            second.enter_context(
                running_maywe(database_url, redis_url, redis_namespace, listen=maywe.address)
            )
            # The connection is tried again only in a while, for which nobody waits here.
            client.catalog.ListPublications(
                catalog_pb2.ListPublicationsRequest(), wait_for_ready=True
            )

        onlooker = Saboteur()
        with open_client(maywe.address, maywe.address) as client:
            outcome = send_file(
                task, client.import_events, maywe.address, onlooker, wait=start_again
            )
            assert onlooker.problems
            assert outcome.adds_up
            assert outcome.accepted + outcome.repeated == 40


def test_a_server_that_stays_away_ends_the_import(bank: RunningMaywe, tmp_path: Path) -> None:
    """After a bounded number of tries the import stops, and says that it can go on."""
    task = task_of(tmp_path, [line(1)])
    waits: list[float] = []
    with (
        open_client("127.0.0.1:1", "127.0.0.1:1") as client,
        pytest.raises(ImportStoppedError, match="the same command goes on"),
    ):
        send_file(task, client.import_events, "127.0.0.1:1", Onlooker(), wait=waits.append)
    assert waits == sorted(waits)
    assert 0 < len(waits) < 20
    assert send(bank, task, Onlooker()).accepted == 1


def test_without_a_catalog_the_mapping_must_name_a_zone(
    maywe: RunningMaywe, tmp_path: Path
) -> None:
    """Dates are not read in a guessed zone; with one the writer is asked, and knows no code."""
    path, mapping_path = files(tmp_path, [line(1)])
    arguments = ("import", str(path), "--mapping", str(mapping_path))
    finished = run(*arguments, address=maywe.address)
    assert finished.status == 64
    assert "zone" in one_line(finished)
    mapping_path.write_text(MAPPING + "zone: UTC\n", encoding="utf-8")
    finished = run(*arguments, address=maywe.address)
    assert finished.status == 1
    assert "not one line could be imported" in finished.err


def test_a_file_that_is_wrong_as_a_whole_is_told_in_one_line(
    bank: RunningMaywe, tmp_path: Path
) -> None:
    """A missing column ends the command before anything is sent."""
    path, mapping_path = files(tmp_path, [])
    path.write_text("id,customer\n", encoding="utf-8")
    finished = run("import", str(path), "--mapping", str(mapping_path), address=bank.address)
    assert finished.status == 64
    assert "columns missing" in one_line(finished)
    assert recorded_event_ids(bank) == []
