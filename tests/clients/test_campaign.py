"""The campaign engine of docs/clients: every customer once and in order, whatever happens."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import pytest
from maywe.v1.decision_pb2_grpc import DecisionServiceStub

from decision.errors import MayweError
from service.access.roles import Caller
from service.conversion.batches import batch_response
from service.servicers import decision as servicer
from tests.clients.conftest import Secured
from tests.clients.programs import SECONDS_MAX, Language, pause, run, started
from tests.clients.stores import give_back, publication, take_away
from tests.integration.service_builders import consent, revocation
from tests.integration.test_audiences import chunk, question
from tests.integration.test_rolling_restart import free_port
from tests.integration.test_serving import serving_process
from tests.running import RunningMaywe, running_maywe
from tests.waiting import until

pytestmark = pytest.mark.integration

QUESTION: Final = ("--purpose=advertising", "--channel=phone")
POLL_SECONDS: Final = 0.02

CHUNK: Final = 10
UNDER_WAY_MAX: Final = 4
"""Chunks, as the examples have it: the last so many that are told of are not answered yet."""

STALLED_SECONDS: Final = 2.0
BUFFERED_BYTES_MAX: Final = 512 * 1024
"""What may be between us and a stream: the pipe, what each language reads at once, some chunks."""

PAGE: Final = 4096
"""What a pipe takes as a whole or not at all."""


class Audience:
    """An audience that a campaign is told of little by little, through a pipe with a name."""

    def __init__(self, path: Path) -> None:
        """Make the pipe, open for both ways, so that nobody waits for somebody to open it."""
        os.mkfifo(path)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def tell(self, customer_ids: Sequence[str]) -> None:
        """Tell of customers, of whom a pipe can hold as many."""
        text = "".join(f"{customer_id}\n" for customer_id in customer_ids).encode()
        assert os.write(self._file, text) == len(text)

    def tell_of_as_many_as_are_taken(self, customer_id: str, bytes_max: int) -> int:
        """Tell of a customer again and again while that is taken, and give how often that was."""
        line = f"{customer_id}\n".encode()
        page = line * (PAGE // len(line))
        count = 0
        taken_at = time.monotonic()
        while time.monotonic() - taken_at < STALLED_SECONDS and count * len(line) <= bytes_max:
            try:
                os.write(self._file, page)
            except BlockingIOError:
                time.sleep(POLL_SECONDS)
            else:
                count += len(page) // len(line)
                taken_at = time.monotonic()
        return count

    def end(self) -> None:
        """Tell of nobody more."""
        os.close(self._file)


@pytest.fixture
def audience(tmp_path: Path) -> Audience:
    """An audience of which nobody has been told."""
    return Audience(tmp_path / "audience")


@pytest.fixture
def verdicts(tmp_path: Path) -> Path:
    """Where a campaign writes; nothing is there."""
    return tmp_path / "verdicts"


ANNA: Final = ["anna", "ALLOW", "ALLOWED"]


def nobody(number: int) -> str:
    """A customer of whom nothing is known."""
    return f"nobody-{number:08}"


def denied(number: int) -> list[str]:
    """What is written about them."""
    return [nobody(number), "DENY", "UNKNOWN_CUSTOMER"]


def lines_of(verdicts: Path) -> list[list[str]]:
    """What a campaign has written so far."""
    return [line.split("\t") for line in verdicts.read_text().splitlines()]


def wait_for_lines(verdicts: Path, count: int) -> None:
    """Wait until so many are answered."""
    until(lambda: verdicts.exists() and len(lines_of(verdicts)) >= count)


def arguments(address: str, *more: object) -> list[str]:
    """The arguments of a campaign in small chunks."""
    return [f"--address={address}", *QUESTION, f"--chunk-size={CHUNK}", *map(str, more)]


def test_each_customer_is_answered_in_order(
    language: Language, maywe: RunningMaywe, tmp_path: Path, verdicts: Path
) -> None:
    """Over several chunks, the last of them not full; with nothing left to do nothing changes."""
    maywe.client.writer.RecordConsent(consent("anna"))
    maywe.client.writer.RecordConsent(consent("boris"))
    maywe.client.writer.Revoke(revocation("boris"))
    people = ["anna", "boris", *map(nobody, range(20)), "anna"]
    expected = [ANNA, ["boris", "DENY", "CONSENT_REVOKED"], *map(denied, range(20)), ANNA]
    file = tmp_path / "people"
    file.write_text("\n".join(people))
    for _ in range(2):
        ended = run(language, "campaign", *arguments(maywe.address, file, verdicts))
        assert (ended.status, ended.lines, ended.errors) == (0, [], "")
        assert lines_of(verdicts) == expected


def test_one_that_was_killed_goes_on_where_it_was(
    language: Language, stores: Sequence[str], audience: Audience, tmp_path: Path, verdicts: Path
) -> None:
    """Also in the middle of a line; nobody is left out, and nobody is there twice."""
    people = [nobody(number) for number in range(10 * CHUNK)]
    with serving_process("decision", *stores) as (_, address):
        command = arguments(address, audience.path, verdicts)
        with started(language, "campaign", *command) as campaign:
            audience.tell(people)
            wait_for_lines(verdicts, (10 - UNDER_WAY_MAX) * CHUNK)
            campaign.kill()
            campaign.wait(SECONDS_MAX)
        audience.end()
        written = verdicts.read_text()
        verdicts.write_text(f"{written}{nobody(len(written.splitlines()))}\tDE")
        file = tmp_path / "people"
        file.write_text("\n".join([*people, "anna"]))
        ended = run(language, "campaign", *arguments(address, file, verdicts))
    assert (ended.status, ended.errors) == (0, "")
    assert lines_of(verdicts) == [*map(denied, range(10 * CHUNK)), ANNA]


@pytest.mark.slow
def test_a_server_that_stops_in_the_middle_costs_nothing_but_time(
    language: Language, stores: Sequence[str], audience: Audience, verdicts: Path
) -> None:
    """What was not answered is asked of the next one."""
    address = f"127.0.0.1:{free_port()}"
    options = [*stores, f"--listen={address}", "--shutdown-grace-seconds=0"]
    with started(language, "campaign", *arguments(address, audience.path, verdicts)) as campaign:
        with serving_process("decision", *options) as (server, _):
            audience.tell([nobody(number) for number in range(10 * CHUNK)])
            wait_for_lines(verdicts, (10 - UNDER_WAY_MAX) * CHUNK)
            server.send_signal(signal.SIGTERM)
            assert server.wait(SECONDS_MAX) == 0
        audience.tell([nobody(10 * CHUNK), "anna"])
        audience.end()
        with serving_process("decision", *options):
            assert campaign.wait(SECONDS_MAX) == 0
    assert lines_of(verdicts) == [*map(denied, range(10 * CHUNK + 1)), ANNA]


@pytest.mark.slow
def test_no_more_is_read_than_a_server_answers(
    language: Language, stores: Sequence[str], audience: Audience, verdicts: Path
) -> None:
    """A server is paused, and goes on; streams that had their time are followed by others."""
    with (
        serving_process("decision", *stores) as (server, address),
        started(
            language,
            "campaign",
            *arguments(address, "--stream-seconds=2", audience.path, verdicts),
        ) as campaign,
    ):
        audience.tell([nobody(0)] * CHUNK * (UNDER_WAY_MAX + 1))
        wait_for_lines(verdicts, CHUNK)
        pause(server)
        count = audience.tell_of_as_many_as_are_taken(nobody(0), 2 * BUFFERED_BYTES_MAX)
        assert count * len(nobody(0)) < BUFFERED_BYTES_MAX
        server.send_signal(signal.SIGCONT)
        audience.end()
        assert campaign.wait(SECONDS_MAX) == 0
    total = count + CHUNK * (UNDER_WAY_MAX + 1)
    assert lines_of(verdicts) == [denied(0)] * total


@pytest.fixture
def without_redis(database_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system in which anna consented; what it can not ask of PostgreSQL it can not know."""
    with running_maywe(database_url, "redis://127.0.0.1:1", redis_namespace) as maywe:
        maywe.client.catalog.Publish(publication())
        maywe.client.writer.RecordConsent(consent("anna"))
        yield maywe


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A small audience."""
    file = tmp_path / "people"
    file.write_text(f"anna\n{nobody(0)}\n")
    return file


@pytest.mark.slow
def test_of_whom_the_server_can_not_know_is_asked_again(
    language: Language,
    without_redis: RunningMaywe,
    postgres_url: str,
    database_url: str,
    people: Path,
    verdicts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL is away for a while; nothing is written of anybody before it is known."""
    is_asked_again = threading.Event()

    def noting(decided: Any) -> Any:
        is_asked_again.set()
        return batch_response(decided)

    monkeypatch.setattr(servicer, "batch_response", noting)
    take_away(postgres_url, database_url)
    command = arguments(without_redis.address, people, verdicts)
    with started(language, "campaign", *command) as campaign:
        assert is_asked_again.wait(SECONDS_MAX)
        assert verdicts.read_text() == ""
        give_back(postgres_url, database_url)
        assert campaign.wait(SECONDS_MAX) == 0
    assert lines_of(verdicts) == [ANNA, denied(0)]


@pytest.mark.slow
def test_whom_nobody_knows_of_for_long_is_told_from_who_said_no(
    language: Language,
    without_redis: RunningMaywe,
    postgres_url: str,
    database_url: str,
    people: Path,
    verdicts: Path,
) -> None:
    """PostgreSQL does not come back."""
    take_away(postgres_url, database_url)
    ended = run(language, "campaign", *arguments(without_redis.address, people, verdicts))
    assert ended.status == 1
    unknown = ["UNDETERMINED", "UNAVAILABLE"]
    assert lines_of(verdicts) == [["anna", *unknown], [nobody(0), *unknown]]


def test_a_limit_of_streams_is_kept_to_by_waiting_as_long_as_the_server_says(
    language: Language,
    secured: Secured,
    people: Path,
    verdicts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else with our name has the one stream that we may have, for a while."""
    gate = secured.maywe.application.gate
    assert gate is not None
    open_stream = gate.open_stream
    refused_at: SimpleQueue[float] = SimpleQueue()

    def noting(method: str, caller: Caller) -> Callable[[], None]:
        try:
            return open_stream(method, caller)
        except MayweError:
            refused_at.put(time.monotonic())
            raise

    monkeypatch.setattr(gate, "open_stream", noting)
    requests: SimpleQueue[Any] = SimpleQueue()
    requests.put(question())
    requests.put(chunk("anna"))
    with secured.channel_by_token(subject="one-stream") as channel:
        answers = DecisionServiceStub(channel).FilterAudience(iter(requests.get, None))
        next(answers)
        credentials = secured.by_token(subject="one-stream")
        command = [*credentials, *QUESTION, str(people), str(verdicts)]
        with started(language, "campaign", *command) as campaign:
            first = refused_at.get(timeout=SECONDS_MAX)
            second = refused_at.get(timeout=SECONDS_MAX)
            requests.put(None)
            list(answers)
            assert campaign.wait(SECONDS_MAX) == 0
    assert second - first > 0.99
    assert [line[0] for line in lines_of(verdicts)] == ["anna", nobody(0)]
