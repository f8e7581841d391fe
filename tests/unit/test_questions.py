"""Questions: their scopes, and their rules towards the newest catalog."""

import pytest

from decision.errors import InvalidArgumentError
from decision.questions import (
    ContactQuestion,
    ProcessQuestion,
    Question,
    ShareQuestion,
    check_question,
)
from tests.unit.decision_builders import (
    CONTACTS_TO_ACME,
    SCORING_TO_ACME,
    SMS,
    STORAGE,
    catalog,
)


def faulty_fields(question: Question) -> list[str]:
    """The fields that are named as faulty."""
    with pytest.raises(InvalidArgumentError) as refused:
        check_question(question, catalog())
    return [fault.field for fault in refused.value.faults]


def test_a_question_asks_about_its_scopes_in_the_order_asked() -> None:
    """A share asks about one scope for each data set, the others about one."""
    assert ContactQuestion("advertising", "sms").scopes == (SMS,)
    assert ProcessQuestion("storage").scopes == (STORAGE,)
    asked = ShareQuestion("advertising", "acme", ("scoring", "contacts"))
    assert asked.scopes == (SCORING_TO_ACME, CONTACTS_TO_ACME)


@pytest.mark.parametrize(
    "question",
    [
        ContactQuestion("advertising", "sms"),
        ShareQuestion("advertising", "acme", ("contacts",)),
        ProcessQuestion("storage"),
    ],
)
def test_a_question_of_known_codes_is_accepted(question: Question) -> None:
    """Every kind of question can be asked."""
    check_question(question, catalog())


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        (ContactQuestion("", "pigeon"), ["purpose", "channel"]),
        (ProcessQuestion("nothing"), ["purpose"]),
        (ShareQuestion("nothing", "nobody", ("a",)), ["purpose", "partner", "datasets"]),
        (ShareQuestion("nothing", "acme", ("contacts", "scoring")), ["purpose"]),
    ],
)
def test_every_unknown_code_is_named_once(question: Question, fields: list[str]) -> None:
    """All faulty fields are told together, what several data sets share just once."""
    assert faulty_fields(question) == fields


def test_a_share_names_at_least_one_data_set() -> None:
    """Without a data set nothing is asked; the rest is checked all the same."""
    assert faulty_fields(ShareQuestion("nothing", "acme", ())) == ["purpose", "datasets"]


def test_a_share_names_no_data_set_twice() -> None:
    """A data set that stands twice is refused."""
    twice = ShareQuestion("advertising", "acme", ("contacts", "scoring", "contacts"))
    assert faulty_fields(twice) == ["datasets"]
