"""`maywe erase`: asking, erasing, and what it says."""

import pytest

from tests.integration.command_line import one_line, run
from tests.integration.erasing_builders import ANNA, ANNA_TOO, live_a_life, may_sms
from tests.integration.service_builders import catalog, consent
from tests.running import RunningMaywe

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("nobody_watches")]


def test_it_erases_and_says_what_it_removed(maywe: RunningMaywe) -> None:
    """With status 0; and once more, when nobody is known any more."""
    live_a_life(maywe)
    finished = run("erase", ANNA, "--with-merged", "--yes", "--event-id=e-1", address=maywe.address)
    assert finished.status == 0, finished
    assert "e-1" in finished.out
    assert may_sms(maywe, ANNA).state_version == 0
    again = run("erase", ANNA, "--yes", address=maywe.address)
    assert again.status == 0
    assert "nobody is known" in again.out


def test_json_has_every_count(maywe: RunningMaywe) -> None:
    """As the contract names them."""
    maywe.publish(catalog())
    maywe.client.writer.RecordConsent(consent(ANNA))
    finished = run("erase", ANNA, "--yes", "--json", address=maywe.address)
    assert finished.json["progress"] == "ERASURE_PROGRESS_COMPLETE"
    assert finished.json["customerIdCount"] == 1
    # The consent, and the erasure itself.
    assert finished.json["eventCount"] == "2"


def test_it_is_not_done_without_being_meant(maywe: RunningMaywe) -> None:
    """Where nobody can be asked, --yes says that it is."""
    live_a_life(maywe)
    finished = run("erase", ANNA, "--with-merged", address=maywe.address)
    assert finished.status == 64
    assert may_sms(maywe, ANNA).state_version > 0


def test_other_ids_of_the_person_are_told_of(maywe: RunningMaywe) -> None:
    """Refused with status 1, and with what to do."""
    live_a_life(maywe)
    finished = run("erase", ANNA, "--yes", address=maywe.address)
    assert finished.status == 1
    assert "split" in one_line(finished)
    assert may_sms(maywe, ANNA_TOO).state_version > 0
