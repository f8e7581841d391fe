"""What the parts of the bench share: how large they are, and the installations they ask.

What lives here: sizes, parts and their figures, and installations that are made when a part first
needs them and kept for those that come after it.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NoReturn, Self

from loadtests.cores import ALL_CORES, OTHER_CORES
from loadtests.figures import PAIRS
from loadtests.filling import fill, import_customers, publish_catalog
from loadtests.installation import Installation, installed


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. Times are in seconds."""

    pairs: int = PAIRS
    rounds_factor_max: int = 3
    """How many times as often servers are loaded at most, to have rounds the host left alone."""
    customers: int = 200_000
    """Whom checks, batches, audiences and lists ask about."""
    few_customers: int = 10_000
    many_customers: int = 1_000_000
    """For how a check fares with more of them."""
    peak_seconds: float = 3.0
    latency_seconds: float = 8.0
    warm_up_seconds: float = 1.0
    stream_seconds: float = 4.0
    """How long an audience, or what it is compared with, is read at least."""
    streamed_ids: int = 5_000_000
    """In one audience, to see what it takes of the server's memory."""
    imported_customers: int = 20_000
    """In one file; each pair has one."""
    publications: int = 3
    """How often everybody is rolled out, or looked at for what a publication would do."""
    written_customers: int = 2_000
    """Of whom some revoke, and all buy."""
    revocations: int = 1_000
    writing_seconds: float = 10.0
    long_history_events: int = 1_000
    """Of one customer, to see whether checks and writes feel them."""


FULL: Final = Sizes()
SHORT: Final = Sizes(
    pairs=1,
    rounds_factor_max=1,
    customers=400,
    few_customers=400,
    many_customers=400,
    peak_seconds=0.3,
    latency_seconds=0.5,
    warm_up_seconds=0.1,
    stream_seconds=0.1,
    streamed_ids=40_000,
    imported_customers=100,
    publications=1,
    written_customers=70,
    revocations=20,
    writing_seconds=0.5,
    long_history_events=20,
)
"""Shows that everything works, and nothing else."""


def resized(sizes: Sizes, settings: Mapping[str, float]) -> Sizes:
    """Give sizes with some of them set by name. Raises KeyError for a name that is none."""
    defaults = asdict(sizes)
    return replace(sizes, **{name: type(defaults[name])(value) for name, value in settings.items()})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a part found: figures by the keys of `thresholds.json`, and whatever explains them."""

    figures: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filled:
    """An installation that has customers, all of them in Redis, and what they take there."""

    installation: Installation
    customers: int
    redis_bytes: int


class Growing:
    """An installation that gets its customers through imports, on all cores."""

    def __init__(self, installation: Installation) -> None:
        """Begin with the catalog and without customers."""
        self.installation = installation
        self.customers = 0
        with installation.serving("writer") as [writer]:
            publish_catalog(installation, writer)

    def need(self, customers: int) -> None:
        """Have at least so many customers."""
        missing = customers - self.customers
        if missing > 0:
            with self.installation.serving("writer") as [writer]:
                import_customers(self.installation, writer, self.customers, missing)
                self.installation.wait_until_caught_up()
            self.customers += missing


class Bench:
    """Sizes, and installations made on demand. Whoever opens it closes it, as a context manager."""

    def __init__(self, sizes: Sizes, say: Callable[[str], None]) -> None:
        """Make nothing yet; `say` is told what is being done."""
        self.sizes = sizes
        self.say = say
        self._stack = ExitStack()
        self._filled: dict[tuple[int, bool], Filled] = {}
        self._growing: Growing | None = None
        self._written: Filled | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def filled(self, customers: int, *, has_permissions: bool = True) -> Filled:
        """Give an installation that has so many customers, its stores on the cores of clients.

        One that has permissions serves those who need none too.
        """
        key = (customers, has_permissions or (customers, True) in self._filled)
        if key not in self._filled:
            installation = self._installed()
            self._filled[key] = self._fill(installation, customers, has_permissions=has_permissions)
        return self._filled[key]

    def written(self) -> Filled:
        """Give an installation whose customers can be written to, its stores on all cores."""
        if self._written is None:
            installation = self._installed(ALL_CORES)
            self._written = self._fill(installation, self.sizes.written_customers)
        return self._written

    def _fill(
        self, installation: Installation, customers: int, *, has_permissions: bool = True
    ) -> Filled:
        self.say(f"filling an installation with {customers:,} customers")
        empty_bytes = installation.redis_bytes()
        fill(installation, customers, has_permissions=has_permissions)
        return Filled(installation, customers, installation.redis_bytes() - empty_bytes)

    def growing(self) -> Growing:
        """Give the installation that imports go to, its stores on all cores."""
        if self._growing is None:
            self._growing = Growing(self._installed(ALL_CORES))
        return self._growing

    def _installed(self, cores: Collection[int] = OTHER_CORES) -> Installation:
        return self._stack.enter_context(installed(cores))


def run_alone(part: str) -> NoReturn:
    """Measure one part, as `python -m loadtests --only` does, and end the process."""
    # Not before: the command line knows all parts, which are made with what is here.
    from loadtests.__main__ import main  # noqa: PLC0415

    sys.exit(main(["--only", part, *sys.argv[1:]]))
