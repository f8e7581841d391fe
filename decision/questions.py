"""Questions: what may be asked about a customer, without the customer.

What lives here: the three questions as values, the scopes that each asks about in the order asked,
and the rules that a question keeps towards the newest catalog. Answers are in `answer`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from decision.catalog import Catalog
from decision.errors import FieldFault, InvalidArgumentError
from decision.event_rules import check_scope
from decision.scopes import Scope, contact, process, share


@dataclass(frozen=True, slots=True)
class ContactQuestion:
    """Asks whether the customer may be contacted by a channel for a purpose."""

    purpose: str
    channel: str

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The one scope asked about."""
        return (contact(self.purpose, self.channel),)


@dataclass(frozen=True, slots=True)
class ShareQuestion:
    """Asks whether data sets of the customer may be given to a partner for a purpose."""

    purpose: str
    partner: str
    datasets: tuple[str, ...]

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """One scope for each data set, in the order asked."""
        return tuple(share(self.purpose, self.partner, dataset) for dataset in self.datasets)


@dataclass(frozen=True, slots=True)
class ProcessQuestion:
    """Asks whether the customer's data may be processed for a purpose."""

    purpose: str

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The one scope asked about."""
        return (process(self.purpose),)


Question: TypeAlias = ContactQuestion | ShareQuestion | ProcessQuestion


def check_question(question: Question, catalog: Catalog) -> None:
    """Check a question against the newest catalog; a share names data sets, none of them twice.

    Raises InvalidArgumentError naming every faulty field (`semantics.md`, "A share of several data
    sets", and Publication on unknown codes).
    """
    faults: dict[FieldFault, None] = {}
    asked = question.scopes
    if isinstance(question, ShareQuestion):
        # Without a data set the rest is checked all the same, and the missing one is named.
        asked = asked or (share(question.purpose, question.partner, ""),)
        seen: set[str] = set()
        for dataset in question.datasets:
            if dataset in seen:
                faults[FieldFault("datasets", f"{dataset!r} stands twice: name it once")] = None
            seen.add(dataset)
    for scope in asked:
        try:
            check_scope(scope, catalog)
        except InvalidArgumentError as error:
            # Several data sets share their purpose and partner, whose faults are told once.
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise InvalidArgumentError(*faults)
