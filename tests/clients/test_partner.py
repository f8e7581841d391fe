"""The partner of docs/clients: it learns what it may receive, for itself, and nothing else."""

import pytest

from tests.clients.conftest import Secured
from tests.clients.programs import Language, run

pytestmark = pytest.mark.integration

CERTIFICATE = "spiffe://partners.example/acme"
# The deadline is not what these tests are about, and this machine may be busy.
QUESTION = ("--purpose=advertising", "--dataset=contacts", "--deadline-seconds=60")
ANSWERS = [["ivan", "RECEIVE", "contacts"], ["nobody", "DO_NOT_RECEIVE", ""]]


@pytest.mark.parametrize("way", ["certificate", "token"])
def test_it_asks_for_itself(language: Language, secured: Secured, way: str) -> None:
    """By certificate or token; who said no and who does not exist are answered alike."""
    credentials = (
        secured.by_certificate(CERTIFICATE)
        if way == "certificate"
        else secured.by_token("partner:acme")
    )
    arguments = [*credentials, "--partner=acme", *QUESTION, "ivan", "nobody"]
    ended = run(language, "partner", *arguments)
    assert (ended.status, ended.lines, ended.errors) == (0, ANSWERS, "")


def test_it_may_not_ask_for_another(language: Language, secured: Secured) -> None:
    """And is stopped at the first customer."""
    credentials = secured.by_token("partner:another")
    ended = run(language, "partner", *credentials, "--partner=acme", *QUESTION, "ivan", "nobody")
    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors.startswith("STOP PERMISSION_DENIED NOT_PERMITTED ")


def test_a_certificate_that_nobody_knows_stops_it(language: Language, secured: Secured) -> None:
    """The connection is made, for the authority is right."""
    credentials = secured.by_certificate("spiffe://partners.example/stranger")
    ended = run(language, "partner", *credentials, "--partner=acme", *QUESTION, "ivan")
    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors.startswith("STOP UNAUTHENTICATED CALLER_UNKNOWN ")


def test_without_a_certificate_nothing_is_answered(language: Language, secured: Secured) -> None:
    """To gRPC it is a server that can not be reached."""
    credentials = secured.by_certificate(CERTIFICATE)[:2]
    arguments = [*credentials, "--partner=acme", *QUESTION, "ivan"]
    ended = run(language, "partner", *arguments)
    assert (ended.status, ended.lines) == (0, [["ivan", "LATER", "UNAVAILABLE"]])
