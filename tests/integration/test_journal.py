"""The journal of decisions: what is answered is found again, and made again from the ledger."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import redis
from maywe.v1 import common_pb2, decision_pb2, event_pb2, evidence_pb2, journal_pb2
from sqlalchemy import Engine, select, text, update

from decision.answer import Answer
from decision.errors import FieldFault, InvalidArgumentError, OverloadedError, UnavailableError
from decision.questions import ContactQuestion
from decision.reasons import Reason
from service.batches import Decided
from service.checking import Check, Checker, Decision, Undetermined
from service.journalling import Journal, JournalMode, decider_of
from store import journal
from store.clocks import wall_clock
from store.journal import JournalEntry
from store.schema import decision_journal, erasure, journal_forgotten
from tests.integration.command_line import one_line, run
from tests.integration.erasing_builders import ANNA, ANNA_TOO, erase, left_of, live_a_life
from tests.integration.service_builders import (
    at,
    catalog,
    consent,
    failure_of,
    new_id,
    purchase,
    revocation,
)
from tests.metrics import scraped_until
from tests.running import RunningMaywe, running_maywe

pytestmark = pytest.mark.integration

WRITTEN_SECONDS_MAX = 30.0
"""A bound against hanging."""

WRITES = 12
ANSWERS_PER_THREAD_MAX = 200

CONTACT = ContactQuestion("advertising", "sms")


@pytest.fixture
def journalling_all(
    database_url: str, redis_url: str, redis_namespace: str
) -> Iterator[RunningMaywe]:
    """A system that journals everything, with a catalog."""
    with running_maywe(database_url, redis_url, redis_namespace, journal="all") as maywe:
        maywe.publish(catalog())
        yield maywe


def contact_request(customer_id: str = "ivan", **fields: Any) -> decision_pb2.MayContactRequest:
    """A question about a text message."""
    return decision_pb2.MayContactRequest(
        customer_id=customer_id, channel="sms", purpose="advertising", **fields
    )


def share_request(customer_id: str = "ivan") -> decision_pb2.MayShareRequest:
    """A question about giving contacts to a partner."""
    return decision_pb2.MayShareRequest(
        customer_id=customer_id, partner="acme", datasets=["contacts"], purpose="advertising"
    )


def may_sms(maywe: RunningMaywe, customer_id: str = "ivan") -> decision_pb2.MayContactResponse:
    """Ask whether a text message may be sent, as soon as the cache shows everything."""
    maywe.wait_until_projected()
    return maywe.client.decision.MayContact(contact_request(customer_id))


def written(maywe: RunningMaywe) -> None:
    """Wait until everything that was answered is written."""
    assert maywe.application.journal is not None
    deadline = time.monotonic() + WRITTEN_SECONDS_MAX
    while maywe.application.journal.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def found(maywe: RunningMaywe, decision_id: str) -> journal_pb2.JournalledDecision:
    """The decision as the journal has it."""
    written(maywe)
    return maywe.client.journal.GetDecision(
        journal_pb2.GetDecisionRequest(decision_id=decision_id)
    ).decision


def replayed(maywe: RunningMaywe, decision_id: str) -> journal_pb2.ReplayDecisionResponse:
    """The decision, made again."""
    written(maywe)
    return maywe.client.journal.ReplayDecision(
        journal_pb2.ReplayDecisionRequest(decision_id=decision_id)
    )


def journalled_basis(basis: common_pb2.Basis) -> common_pb2.Basis:
    """A basis as the journal has it, without its product."""
    kept = common_pb2.Basis()
    kept.CopyFrom(basis)
    kept.ClearField("product")
    return kept


def test_every_answer_is_found_as_it_was_given(journalling_all: RunningMaywe) -> None:
    """An ALLOW and a DENY, about contacts and shares, single and in a batch."""
    maywe = journalling_all
    maywe.client.writer.RecordPurchase(purchase(event_id='bought "\\x", \u0436'))
    allowed = may_sms(maywe)
    denied = may_sms(maywe, "nobody\\1")
    shared = maywe.client.decision.MayShare(share_request())
    batch = maywe.client.decision.BatchCheck(
        decision_pb2.BatchCheckRequest(
            checks=[
                decision_pb2.BatchCheckItem(contact=contact_request()),
                decision_pb2.BatchCheckItem(share=share_request()),
                decision_pb2.BatchCheckItem(contact=contact_request("nobody")),
            ]
        )
    ).results
    for answer, customer_id in (
        (allowed, "ivan"),
        (denied, "nobody\\1"),
        (batch[0].contact, "ivan"),
        (batch[2].contact, "nobody"),
    ):
        entry = found(maywe, answer.decision_id)
        assert entry.customer_id == customer_id
        assert entry.contact == common_pb2.ContactQuestion(channel="sms", purpose="advertising")
        assert entry.answer == evidence_pb2.Answer(
            verdict=answer.verdict,
            reason=answer.reason,
            not_after=answer.not_after if answer.HasField("not_after") else None,
            basis=journalled_basis(answer.basis) if answer.HasField("basis") else None,
        )
        assert entry.allowed_channels == answer.allowed_channels
        assert entry.decided_at == answer.decided_at
        assert entry.state_version == answer.state_version
        assert entry.catalog_publication == answer.catalog_publication
    for share in (shared, batch[1].share):
        entry = found(maywe, share.decision_id)
        assert entry.share.datasets == ["contacts"]
        assert entry.answer.verdict == share.verdict == common_pb2.VERDICT_ALLOW
        assert entry.answer.not_after == share.not_after
        assert entry.answer.datasets[0].basis == journalled_basis(share.datasets[0].basis)


def test_answers_are_made_again_whatever_happened_since(journalling_all: RunningMaywe) -> None:
    """A revocation, a merge, a split, a void, another catalog: nothing of what was said changes."""
    maywe, writer = journalling_all, journalling_all.client.writer
    asked = [may_sms(maywe)]
    bought = purchase()
    writer.RecordPurchase(bought)
    asked.append(may_sms(maywe))
    asked.append(maywe.client.decision.MayContact(contact_request(at=at("2031-01-01T00:00:00Z"))))
    writer.Revoke(revocation(revoked_at="2025-01-01T00:00:00Z", channel="sms"))
    asked.append(may_sms(maywe))
    writer.RecordConsent(consent("ivan-2", obtained_at="2025-06-01T00:00:00Z"))
    asked.append(may_sms(maywe, "ivan-2"))
    writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id=new_id(), from_customer_id="ivan-2", into_customer_id="ivan"
        )
    )
    asked.append(may_sms(maywe))
    writer.SplitCustomer(event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id="ivan-2"))
    asked += [may_sms(maywe), may_sms(maywe, "ivan-2")]
    maywe.publish(catalog(matrix=[]))
    asked.append(may_sms(maywe))
    writer.VoidEvent(
        event_pb2.VoidEventRequest(event_id=new_id(), voided_event_id=bought.event_id, cause="no")
    )
    asked.append(may_sms(maywe))
    reasons = [common_pb2.Reason.Name(answer.reason)[7:] for answer in asked]
    assert reasons == [
        "UNKNOWN_CUSTOMER",
        "ALLOWED",
        "CONSENT_EXPIRED",
        "CONSENT_REVOKED",
        "ALLOWED",
        "ALLOWED",
        "CONSENT_REVOKED",
        "ALLOWED",
        "NO_CONSENT",
        "NO_CONSENT",
    ]
    for answer in asked:
        response = replayed(maywe, answer.decision_id)
        assert list(response.differences) == []
        assert response.replayed == response.decision.answer
        assert not response.known_at_by_time
        assert not response.HasField("answer_known_then")


def test_a_replay_rests_on_the_ledger_and_not_on_what_is_kept_ready(
    journalling_all: RunningMaywe,
) -> None:
    """States and their permissions may be anything, and the cache gone."""
    maywe = journalling_all
    maywe.client.writer.RecordPurchase(purchase())
    answer = may_sms(maywe)
    written(maywe)
    with maywe.application.engine.begin() as connection:
        connection.execute(text("UPDATE state SET record = '', version = version + 7"))
        connection.execute(text("DELETE FROM permission"))
    assert list(replayed(maywe, answer.decision_id).differences) == []


def test_answers_that_race_with_writes_are_made_again_each_from_its_own_state(
    journalling_all: RunningMaywe,
) -> None:
    """However far behind the ledger the state was that answered; none is missing, none is twice."""
    maywe, writer = journalling_all, journalling_all.client.writer
    writing = threading.Event()

    def ask(customer_id: str) -> list[decision_pb2.MayContactResponse]:
        answers: list[decision_pb2.MayContactResponse] = []
        while not writing.is_set() and len(answers) < ANSWERS_PER_THREAD_MAX:
            answers.append(maywe.client.decision.MayContact(contact_request(customer_id)))
        return answers

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, customer_id) for customer_id in ("ivan", "ivan", "olga")]
        for number in range(WRITES):
            day = f"2025-01-{number + 1:02}T00:00:00Z"
            writer.RecordConsent(consent("ivan", obtained_at=day))
            writer.RecordConsent(consent("olga", obtained_at=day))
            writer.Revoke(revocation("ivan", revoked_at=day, channel="sms"))
            if number == WRITES // 2:
                writer.MergeCustomers(
                    event_pb2.MergeCustomersRequest(
                        event_id=new_id(), from_customer_id="olga", into_customer_id="ivan"
                    )
                )
        writing.set()
        answers = [answer for one in asked for answer in one.result()]
    assert len({(answer.state_version, answer.reason) for answer in answers}) > 3
    # The first and the last from each state: those are the ones that raced.
    by_state = {(answer.state_version, answer.reason): answer for answer in reversed(answers)}
    by_state_last = {(answer.state_version, answer.reason): answer for answer in answers}
    for answer in (*by_state.values(), *by_state_last.values()):
        assert list(replayed(maywe, answer.decision_id).differences) == [], answer
    assert sorted(answer.decision_id for answer in answers) == ids_in(maywe.application.engine)


def test_what_became_of_answers_is_told(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """As metrics: how many were written, and that none is left."""
    stores = (database_url, redis_url, redis_namespace)
    with running_maywe(*stores, journal="all", metrics_listen="127.0.0.1:0") as maywe:
        maywe.publish(catalog())
        for _ in range(3):
            may_sms(maywe)
        name = "maywe_journal_decisions_total"
        told = scraped_until(
            maywe.metrics_address, lambda found: found.value(name, outcome="written") == 3
        )
    assert told.value("maywe_journal_decisions_waiting") == 0
    assert told.value(name, outcome="shed") == told.value(name, outcome="lost") == 0


CHANGES = {
    "reason": "answer = jsonb_set(answer, '{scopes,0,reason}', '\"RESTRICTED\"')",
    "not_after": "answer = jsonb_set(answer, '{scopes,0,not_after}', '1')",
    "basis": "answer = jsonb_set(answer, '{scopes,0,basis,wording_version}', '2')",
    "allowed_channels": "answer = jsonb_set(answer, '{channels}', '[]')",
    "verdict": "state_version = 0",
}
"""By what differs then."""


def test_what_differs_is_named(journalling_all: RunningMaywe) -> None:
    """Whatever of an entry is changed; the command says so, with status 1."""
    maywe = journalling_all
    maywe.client.writer.RecordPurchase(purchase())
    for difference, change in CHANGES.items():
        answer = may_sms(maywe)
        written(maywe)
        command = ("decision", "replay", answer.decision_id)
        assert run(*command, address=maywe.address).status == 0
        with maywe.application.engine.begin() as connection:
            connection.execute(
                text(f"UPDATE decision_journal SET {change} WHERE decision_id = :id"),  # noqa: S608 - ours, above
                {"id": answer.decision_id},
            )
        assert difference in replayed(maywe, answer.decision_id).differences
        finished = run(*command, address=maywe.address)
        assert finished.status == 1
        assert difference in one_line(finished)


def test_an_answer_from_a_state_that_was_behind_is_made_again_from_that_state(
    journalling_all: RunningMaywe,
) -> None:
    """And what the ledger had by then is told beside it."""
    maywe = journalling_all
    maywe.client.writer.RecordPurchase(purchase())
    answer = may_sms(maywe)
    written(maywe)
    maywe.client.writer.Revoke(revocation(channel="sms"))
    later = may_sms(maywe)
    assert later.verdict == common_pb2.VERDICT_DENY
    written(maywe)
    with maywe.application.engine.begin() as connection:
        # As if the cache had not been reached by the revocation yet.
        connection.execute(
            text(
                "UPDATE decision_journal SET answered_at = later.answered_at "
                "FROM decision_journal AS later WHERE later.decision_id = :later "
                "AND decision_journal.decision_id = :behind"
            ),
            {"later": later.decision_id, "behind": answer.decision_id},
        )
    response = replayed(maywe, answer.decision_id)
    assert list(response.differences) == []
    assert response.answer_known_then.reason == common_pb2.REASON_CONSENT_REVOKED


def test_what_could_not_be_known_is_journalled_and_can_not_be_made_again(
    journalling_all: RunningMaywe,
) -> None:
    """As UNDETERMINED; a question of the batch that was faulty is no answer at all."""
    maywe = journalling_all
    assert maywe.application.journal is not None
    fault = InvalidArgumentError(FieldFault("question", "is missing"))
    undetermined = Undetermined(wall_clock(), "not-known")
    decided = Decided(2, [], {0: (CONTACT, undetermined)}, {1: fault})
    maywe.application.journal.add_batch([Check("ivan", CONTACT), fault], decided)
    entry = found(maywe, "not-known")
    assert entry.answer.verdict == common_pb2.VERDICT_UNDETERMINED
    assert entry.customer_id == "ivan"
    failed = failure_of(lambda: replayed(maywe, "not-known"))
    assert (failed.code, failed.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOTHING_ANSWERED",
    )
    assert len(ids_in(maywe.application.engine)) == 1


def test_what_nobody_journalled_is_not_found(journalling_all: RunningMaywe) -> None:
    """NOT_FOUND with its own reason; the command says it in one line."""
    failed = failure_of(lambda: found(journalling_all, "no-such-decision"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "DECISION_NOT_FOUND")
    finished = run("decision", "show", "no-such-decision", address=journalling_all.address)
    assert finished.status == 1
    assert "journal" in one_line(finished)


def test_the_command_shows_an_answer(journalling_all: RunningMaywe) -> None:
    """Who asked what of whom, and what was said, as a table and as JSON."""
    journalling_all.client.writer.RecordPurchase(purchase())
    answer = may_sms(journalling_all)
    written(journalling_all)
    address = journalling_all.address
    shown = run("decision", "show", answer.decision_id, address=address)
    assert shown.status == 0, shown
    for part in ("ALLOW", "sms for advertising to ivan", answer.basis.event_id, "phone, sms"):
        assert part in shown.out
    document = run("decision", "show", answer.decision_id, "--json", address=address).json
    assert document["decision"]["decisionId"] == answer.decision_id


def test_without_a_journal_nothing_stands_in_between(maywe: RunningMaywe) -> None:
    """The default: the checker is called as it is, and nothing is written."""
    maywe.publish(catalog())
    may_sms(maywe)
    application = maywe.application
    assert application.journal is None
    checker = Checker(application.reader, application.catalogs)
    assert decider_of(checker, application.journal) == checker.decide
    with maywe.application.engine.connect() as connection:
        assert connection.execute(select(decision_journal)).all() == []


def test_what_was_answered_is_written_at_an_orderly_stop(
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if the time to write has not come yet."""
    monkeypatch.setattr("service.duties.WRITE_SECONDS", 3600.0)
    with running_maywe(database_url, redis_url, redis_namespace, journal="all") as maywe:
        maywe.publish(catalog())
        ids = {may_sms(maywe).decision_id for _ in range(20)}
        with engine.connect() as connection:
            assert connection.execute(select(decision_journal)).all() == []
    with engine.connect() as connection:
        assert set(connection.scalars(select(decision_journal.c.decision_id))) == ids


@pytest.mark.usefixtures("nobody_watches")
def test_whoever_is_erased_is_named_in_the_journal_no_more(
    database_url: str, redis_url: str, redis_namespace: str, client: redis.Redis
) -> None:
    """That something was answered stays, and can be made again no more."""
    with running_maywe(database_url, redis_url, redis_namespace, journal="all") as maywe:
        live_a_life(maywe)
        answers = [may_sms(maywe, customer_id) for customer_id in (ANNA, ANNA_TOO)]
        written(maywe)
        erase(maywe)
        for answer in answers:
            entry = found(maywe, answer.decision_id)
            assert entry.customer_id == ""
            assert entry.answer.verdict == answer.verdict
            failed = failure_of(lambda: replayed(maywe, answer.decision_id))  # noqa: B023 - called here
            assert failed.reason == "CUSTOMER_ERASED"
        # Whatever was still on its way names nobody either.
        late = answers[0].decision_id
        late_id = f"{late}-late"
        with maywe.application.engine.connect() as connection:
            on_its_way = journal.find(connection, late)._replace(
                decision_id=late_id, customer_id=ANNA
            )
        journal.append(maywe.application.engine, [on_its_way], is_repeat=False)
        assert found(maywe, late_id).customer_id == ""
        # As is somebody who was asked about, and of whom there never was anything else.
        unknown = may_sms(maywe, "asked-about-only")
        written(maywe)
        erase(maywe, "asked-about-only")
        assert found(maywe, unknown.decision_id).customer_id == ""
        # Or of whom an answer waits to be written, however long ago somebody else was erased.
        with maywe.application.engine.begin() as connection:
            connection.execute(update(erasure).values(completed_at=1))
            connection.execute(update(journal_forgotten).values(forgot_at=1))
        waiting = Journal(maywe.application.engine, JournalMode.ALL, 1.0)
        waiting.add(Check("asked-about-only", CONTACT), decision_of("waiting"))
        erase(maywe, "asked-about-only")
        waiting.write()
        assert found(maywe, "waiting").customer_id == ""
        assert left_of(maywe, client, ANNA, ANNA_TOO, "asked-about-only") == []


def decision_of(decision_id: str) -> Decision:
    """A decision to be journalled."""
    return Decision([Answer(Reason.NO_CONSENT)], [], 1, 1, 1_000_000, decision_id, False)  # noqa: FBT003


def ids_in(engine: Engine) -> list[str]:
    """What is in the journal."""
    with engine.connect() as connection:
        return list(
            connection.scalars(
                select(decision_journal.c.decision_id).order_by(decision_journal.c.decision_id)
            )
        )


def test_an_answer_for_which_there_is_no_room_is_not_given(no_postgresql: Engine) -> None:
    """Where everything is journalled nothing may be lost: it is refused, to be asked again."""
    taken = Journal(no_postgresql, JournalMode.ALL, 1.0, entries_waiting_max=2)
    for number in range(2):
        taken.add(Check("ivan", CONTACT), decision_of(f"d-{number}"))
    with pytest.raises(OverloadedError, match="journal"):
        taken.add(Check("ivan", CONTACT), decision_of("d-2"))
    with pytest.raises(UnavailableError):
        taken.write()
    # What could not be written still takes its room.
    with pytest.raises(OverloadedError):
        taken.add(Check("ivan", CONTACT), decision_of("d-2"))


def test_what_could_not_be_written_is_written_later_and_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it had been committed, and only the answer to that was lost."""
    real = journal.append
    outcomes = iter(["lost before", "lost after", "well"])

    def failing(engine: Engine, entries: Sequence[JournalEntry], *, is_repeat: bool) -> None:
        outcome = next(outcomes)
        if outcome != "lost before":
            real(engine, entries, is_repeat=is_repeat)
        if outcome != "well":
            message = "gone"
            raise UnavailableError(message)

    monkeypatch.setattr(journal, "append", failing)
    taken = Journal(engine, JournalMode.ALL, 1.0)
    taken.add(Check("ivan", CONTACT), decision_of("d-1"))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            taken.write()
    taken.write()
    assert ids_in(engine) == ["d-1"]
    assert (taken.waiting, taken.lost) == (0, 0)


def test_what_comes_while_it_is_written_waits_for_the_next_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load there is always something; a transaction for each few rows costs the most."""
    real = journal.append
    taken = Journal(engine, JournalMode.ALL, 1.0)

    def interrupted(engine: Engine, entries: Sequence[JournalEntry], *, is_repeat: bool) -> None:
        taken.add(Check("ivan", CONTACT), decision_of(f"d-{taken.written + 1}"))
        real(engine, entries, is_repeat=is_repeat)

    monkeypatch.setattr("store.journal.append", interrupted)
    taken.add(Check("ivan", CONTACT), decision_of("d-0"))
    taken.write()
    assert (taken.written, taken.waiting) == (1, 1)
    taken.write()
    assert (taken.written, taken.waiting) == (2, 1)


def test_of_a_sample_what_there_is_no_room_for_is_counted_and_told(
    no_postgresql: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The answers are given all the same."""
    taken = Journal(no_postgresql, JournalMode.SAMPLED, 1.0, entries_waiting_max=1)
    for number in range(3):
        taken.add(Check("ivan", CONTACT), decision_of(f"d-{number}"))
    assert taken.shed == 2
    with pytest.raises(UnavailableError):
        taken.write()
    assert "2 answers of the sample are not journalled" in caplog.text


def test_a_sample_has_the_share_that_was_chosen(engine: Engine) -> None:
    """And always the answers that were chosen for it."""
    taken = Journal(engine, JournalMode.SAMPLED, 0.1)
    for number in range(2000):
        taken.add(Check("ivan", CONTACT), decision_of(f"d-{number}"))
    taken.add(Check("ivan", CONTACT), decision_of("chosen"), is_chosen=True)
    taken.write()
    # Ten standard deviations.
    assert 60 < len(ids_in(engine)) < 340
    assert "chosen" in ids_in(engine)


def test_what_postgresql_will_not_take_holds_up_nothing_else(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged as lost by its id."""
    taken = Journal(engine, JournalMode.ALL, 1.0)
    for decision_id, customer_id in (("d-1", "ivan"), ("d-2", "a\0b"), ("d-3", "ivan")):
        taken.add(Check(customer_id, CONTACT), decision_of(decision_id))
    taken.write()
    assert ids_in(engine) == ["d-1", "d-3"]
    assert taken.lost == 1
    assert "d-2" in caplog.text


def test_entries_stand_in_the_partition_of_their_time(engine: Engine) -> None:
    """One that was made ahead of time, or the one for whatever has no other."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE decision_journal_early PARTITION OF decision_journal "
                "FOR VALUES FROM (0) TO (2000000)"
            )
        )
    taken = Journal(engine, JournalMode.ALL, 1.0)
    taken.add(Check("ivan", CONTACT), decision_of("early"))
    taken.add(Check("ivan", CONTACT), decision_of("late")._replace(decided_at=2_000_000))
    taken.write(threading.Event())
    with engine.connect() as connection:
        early = connection.scalars(text("SELECT decision_id FROM decision_journal_early")).all()
    assert list(early) == ["early"]
    assert ids_in(engine) == ["early", "late"]
