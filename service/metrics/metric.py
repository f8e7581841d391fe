"""What a metric is: its kind, its labels, and how several processes' figures become one.

What lives here: the words in which the table (`table`) is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Final, NamedTuple


class Kind(Enum):
    """What a metric is for Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(Enum):
    """What is told of a gauge that several processes of one port have."""

    SUM = "sum"
    MAX = "highest"
    MIN = "lowest"


class Reading(Enum):
    """What a gauge holds: a value, or an instant of the boot clock of which the distance is told.

    So the age of something grows by itself, whatever became of the process that noted it.
    """

    VALUE = "value"
    SINCE = "since"
    UNTIL = "until"


class Label(NamedTuple):
    """A label with every value that it can have."""

    name: str
    values: tuple[str, ...]


DECISION: Final = "decision"
WRITER: Final = "writer"
WORKER: Final = "worker"

EVERYWHERE: Final = frozenset({DECISION, WRITER, WORKER})
ANSWERING: Final = frozenset({DECISION})
KEEPING: Final = frozenset({WRITER, WORKER})


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `servers` are those that have it; `series` its label values, if not all together.

    What is counted is `units_per_one` times what is told, for counts are whole numbers.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    servers: frozenset[str] = EVERYWHERE
    across: Across = Across.SUM
    reading: Reading = Reading.VALUE
    units_per_one: int = 1
    series_given: tuple[tuple[str, ...], ...] | None = None
    is_of_parent: bool = False
    """Told by whoever tells, about the processes, and counted by none of them."""

    @property
    def series(self) -> Iterator[tuple[str, ...]]:
        """The label values of every series that there can be."""
        if self.series_given is not None:
            return iter(self.series_given)
        return product(*(label.values for label in self.labels))
