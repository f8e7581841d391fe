"""What is refused of a person who is erased, or about to be.

What lives here: the rule that every write keeps which has locked a person. Erasing is `erasing`'s.
"""

from collections.abc import Iterable

from decision.errors import ErrorCode, UnavailableError
from store.database import RetryTransactionError
from store.subjects import Person


def refuse_while_erased(persons: Iterable[Person]) -> None:
    """Refuse to record anything more of whoever is erased, or about to be.

    Raises UnavailableError until the erasure is complete: whoever comes after is somebody new. Once
    it is, RetryTransactionError, since the ids that led here lead here no more.
    """
    if subjects_being_erased(persons):
        raise being_erased()


def subjects_being_erased(persons: Iterable[Person]) -> set[int]:
    """Give the subjects of whom nothing is recorded until their ids are somebody new's.

    Raises RetryTransactionError where they are by now.
    """
    held_up: set[int] = set()
    for person in persons:
        if person.is_erased:
            if not person.customer_ids:
                raise RetryTransactionError
            held_up.update(member.subject for member in person.members)
    return held_up


def being_erased() -> UnavailableError:
    """Give what a write is refused with while its customer is being erased."""
    message = "the customer is being erased: send it again in a moment, for somebody new"
    return UnavailableError(message, ErrorCode.ERASURE_UNDER_WAY)
