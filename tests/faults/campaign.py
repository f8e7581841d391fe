"""A campaign: a system, its clients, a quiet beginning, then faults until the time is up.

What lives here: the course of a campaign from start to end. It leaves a history behind; what that
proves is the judge's to say.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.asking import Asker
from tests.faults.clients import (
    CHECK_SECONDS,
    PERSONS_PER_CLIENT,
    Attention,
    CatalogClient,
    CheckingClient,
    NarrowingClient,
    Pace,
)
from tests.faults.course import Course
from tests.faults.history import FaultBegan, FaultEnded, History, Phase, now
from tests.faults.judging import Fault, judge
from tests.faults.kinds import of_links, of_postgresql, of_processes, of_redis, of_time
from tests.faults.kinds.kind import Kind, Occurrence, Scene
from tests.faults.planning import Plan, Round
from tests.faults.sending import Restores, Sender, open_channel
from tests.faults.spans import END, QUIET, SETTLING_NANOSECONDS
from tests.faults.steps import Person
from tests.faults.system import System, running_system

NARROWING_CLIENTS: Final = 4
CHECKING_CLIENTS_PER_SERVER: Final = 2
WARM_UP_SECONDS: Final = 2.0
LAST_CALM_SECONDS: Final = SETTLING_NANOSECONDS / 1e9 + 1.5
KINDS: Final = (
    *of_processes.KINDS,
    *of_redis.KINDS,
    *of_postgresql.KINDS,
    *of_links.KINDS,
    *of_time.KINDS,
)
CLIENT_END_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a campaign leaves: the history, and the directory with the logs."""

    history: History
    directory: Path


def run_campaign(course: Course, say: Callable[[str], None]) -> Outcome:
    """Run a campaign of about so many seconds after the start."""
    chance = random.Random(course.seed)
    with running_system(course.sabotages) as system:
        say(f"seed {course.seed}, logs and history in {system.directory}")
        history = History(system.directory / "history.jsonl")
        with ExitStack() as stack:
            stack.callback(history.close)
            scene = stack.enter_context(_running_clients(system, history, course, chance))
            time.sleep(WARM_UP_SECONDS)
            deadline = time.monotonic() + course.seconds
            history.add(Phase(QUIET, now()))
            time.sleep(course.quiet)
            scene.pace.check_seconds = CHECK_SECONDS
            history.add(Phase("faults", now()))
            _play_until(deadline - LAST_CALM_SECONDS, scene, course, say)
            history.add(Phase(END, now()))
    return Outcome(history, system.directory)


def _play_until(deadline: float, scene: Scene, course: Course, say: Callable[[str], None]) -> None:
    """Play rounds until the time is up, and rest at the end."""
    plan = Plan(KINDS, random.Random(course.seed))
    while time.monotonic() < deadline:
        planned = plan.together(course.schedule) if course.schedule else plan.next_round()
        for kind in _play(scene, planned, say):
            plan.take_back(kind)
        if course.ends_when_stale and judge(scene.history.records).count(Fault.STALE_ALLOW):
            return
        time.sleep(planned.rest_seconds)
    time.sleep(LAST_CALM_SECONDS)


def _play(scene: Scene, planned: Round, say: Callable[[str], None]) -> list[Kind]:
    """Inject the kinds of a round, hold, and heal them in reverse order; give those missed."""
    with ExitStack() as stack:
        occurrences = [stack.enter_context(_injected(scene, kind, say)) for kind in planned.kinds]
        time.sleep(planned.hold_seconds)
    return [
        kind
        for kind, occurrence in zip(planned.kinds, occurrences, strict=True)
        if not occurrence.was_injected
    ]


@contextmanager
def _injected(scene: Scene, kind: Kind, say: Callable[[str], None]) -> Iterator[Occurrence]:
    began_at = now()
    fault = f"{kind.name}@{began_at}"
    scene.history.add(FaultBegan(fault, kind.name, kind.area, began_at))
    with kind.fault(scene) as occurrence:
        yield occurrence
    scene.history.add(FaultEnded(fault, now(), occurrence.was_injected, occurrence.detail))
    seconds = (now() - began_at) / 1e9
    missed = "" if occurrence.was_injected else " (its moment did not come)"
    say(f"{seconds:5.1f} s  {kind.name}: {occurrence.detail}{missed}".rstrip(": "))


@contextmanager
def _running_clients(
    system: System, history: History, course: Course, chance: random.Random
) -> Iterator[Scene]:
    stopping = threading.Event()
    restores = Restores()
    with ExitStack() as stack:

        def channels(role: str) -> list[tuple[str, int]]:
            return [(process.name, process.client_port) for process in system.of_role(role)]

        def sender() -> Sender:
            opened = [stack.enter_context(open_channel(port)) for _, port in channels("writer")]
            return Sender(opened, history, restores, stopping, random.Random(chance.random()))

        def askers() -> list[Asker]:
            return [
                Asker(name, stack.enter_context(open_channel(port)), history)
                for name, port in channels("decision")
            ]

        catalog_client = CatalogClient(
            sender(), course.publication_seconds, random.Random(chance.random())
        )
        catalog_client.publish_first()
        persons = [
            [
                Person(f"customer-{client}-{number}", random.Random(chance.random()))
                for number in range(PERSONS_PER_CLIENT)
            ]
            for client in range(NARROWING_CLIENTS)
        ]
        attention = Attention([each for few in persons for person in few for each in person.ids])
        pace = Pace()
        runs: list[Callable[[threading.Event], None]] = [catalog_client.run]
        for few in persons:
            own = random.Random(chance.random())
            runs.append(
                NarrowingClient(few, sender(), askers(), attention, course.step_seconds, own).run
            )
        for _ in range(CHECKING_CLIENTS_PER_SERVER):
            runs += [
                CheckingClient(asker, attention, pace, random.Random(chance.random())).run
                for asker in askers()
            ]
        stack.enter_context(_running_threads(runs, stopping))
        yield Scene(system, history, restores, attention, pace, random.Random(chance.random()))


@contextmanager
def _running_threads(
    runs: Sequence[Callable[[threading.Event], None]], stopping: threading.Event
) -> Iterator[None]:
    """Run clients until the end. Raises what one of them ended with."""
    errors: list[BaseException] = []

    def run(client: Callable[[threading.Event], None]) -> None:
        try:
            client(stopping)
        except BaseException as error:  # noqa: BLE001 - told to who waits for the clients
            errors.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(CLIENT_END_SECONDS_MAX)
    if errors:
        raise errors[0]
