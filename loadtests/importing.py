"""Imports against a bare COPY of the same rows.

What lives here: `python -m loadtests.importing`. `maywe import` runs on a file of customers who are
new, from its start until Redis shows the last of them; the COPY puts rows of the same kind and
number, as text, into a table without index in the same PostgreSQL. Everything has all cores.
"""

import statistics
import time
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, text

from loadtests.bench import Bench, Growing, Measured, run_alone
from loadtests.cores import cpu_seconds
from loadtests.figures import in_turn, ratios, rounded
from loadtests.installation import Server
from loadtests.population import COLUMNS, DELIMITER, MAPPING_PATH, write_history

COPIES: Final = 30
"""One takes a twentieth to a seventh of a second, depending on how its commit gets to disk: so many
take a third of the time of an import, and their sum varies by a tenth."""

WARM_UP_CUSTOMERS: Final = 100
"""Imported before anything is measured: by then the writer's worker processes have started."""


class Importer:
    """Imports one file after the other, and copies one of the same size again and again."""

    def __init__(self, growing: Growing, writer: Server, customers_per_file: int) -> None:
        """Write the file that is copied, and warm the writer up."""
        self._growing = growing
        self._writer = writer
        self._count = customers_per_file
        self._copied = self._write("copied", 0, customers_per_file)
        with growing.installation.engine.begin() as connection:
            columns = ", ".join(f"{name} text" for name in COLUMNS)
            connection.execute(text(f"CREATE TABLE bench_rows ({columns})"))
        self._import(WARM_UP_CUSTOMERS)

    def _write(self, name: str, first: int, count: int) -> tuple[Path, int]:
        path = self._growing.installation.directory / f"{name}.csv"
        return path, write_history(path, first, count)

    def rows_imported_per_second(self) -> float:
        """Import customers who are new."""
        return self._import(self._count)

    def _import(self, count: int) -> float:
        installation = self._growing.installation
        path, rows = self._write("imported", self._growing.customers, count)
        began_at = time.monotonic()
        installation.run("import", str(path), "--mapping", str(MAPPING_PATH), server=self._writer)
        installation.wait_until_caught_up()
        seconds = time.monotonic() - began_at
        self._growing.customers += count
        return rows / seconds

    def rows_copied_per_second(self) -> float:
        """Copy rows of the same kind into an empty table, commit included, several times."""
        path, rows = self._copied
        data = path.read_bytes()
        seconds = sum(self._copy(data) for _ in range(COPIES))
        return rows * COPIES / seconds

    def _copy(self, data: bytes) -> float:
        engine = self._growing.installation.engine
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE bench_rows"))
        began_at = time.monotonic()
        _copy_csv(engine, data)
        return time.monotonic() - began_at


def _copy_csv(engine: Engine, data: bytes) -> None:
    with engine.begin() as connection:
        cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]  # SQLAlchemy types the driver's cursor loosely
        command = f"COPY bench_rows FROM STDIN (FORMAT csv, HEADER, DELIMITER '{DELIMITER}')"
        with cursor, cursor.copy(command.encode()) as copy:
            copy.write(data)


def measure(bench: Bench) -> Measured:
    """Import and copy in turn."""
    growing = bench.growing()
    with growing.installation.serving("writer") as [writer]:
        bench.say("imports and bare copies of the same rows")
        importer = Importer(growing, writer, bench.sizes.imported_customers)
        cpu_before = cpu_seconds(writer.process_id)
        pairs = in_turn(
            importer.rows_imported_per_second, importer.rows_copied_per_second, bench.sizes.pairs
        )
        writer_cpu = cpu_seconds(writer.process_id) - cpu_before
    compared = ratios(pairs)
    return Measured(
        {
            "import_events_per_s": statistics.median(pair.first for pair in pairs),
            "import_vs_copy": compared.median,
        },
        {
            "import_vs_copy": compared.described(),
            "import_events_per_s": [rounded(pair.first) for pair in pairs],
            "copied_rows_per_second": rounded(statistics.median(pair.second for pair in pairs)),
            "customers_in_the_end": growing.customers,
            "writer_cpu_seconds": rounded(writer_cpu),
        },
    )


if __name__ == "__main__":
    run_alone("importing")
