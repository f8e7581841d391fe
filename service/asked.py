"""What a question asks about under one catalog, worked out once for all who ask the same.

What lives here: the scopes that an answer is made of, and their keeping. Answering is `checking`'s
business.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from decision.catalog import Interval
from decision.questions import ContactQuestion, ShareQuestion, check_question
from decision.scopes import Scope, contact
from store.publications import PublishedCatalog

QUESTIONS_KEPT_MAX: Final = 1024
"""Questions kept for one catalog: callers ask the same few again and again."""

CheckQuestion = ContactQuestion | ShareQuestion


class Asked(NamedTuple):
    """A question under one catalog: its scopes, each with the suspension of its partner, if any.

    `channels` are those that may be suggested, in the catalog's order, each with its scope.
    `scopes_to_read` are all of which an answer is made.
    """

    published: PublishedCatalog
    scopes: tuple[tuple[Scope, Interval | None], ...]
    channels: tuple[tuple[str, Scope], ...]
    scopes_to_read: tuple[Scope, ...]


def ask(question: CheckQuestion, published: PublishedCatalog) -> Asked:
    """Work out what a question asks about."""
    catalog = published.catalog
    channels: tuple[tuple[str, Scope], ...] = ()
    if isinstance(question, ContactQuestion):
        channels = tuple(
            (channel.code, contact(question.purpose, channel.code))
            for channel in catalog.channels.values()
            # A retired one is not offered, but answered for.
            if not channel.retired or channel.code == question.channel
        )
    return Asked(
        published,
        tuple((scope, catalog.suspension_of(scope)) for scope in question.scopes),
        channels,
        tuple(dict.fromkeys((*question.scopes, *(scope for _, scope in channels)))),
    )


class Questions:
    """The questions that are asked under one catalog. Safe to be used by several threads."""

    def __init__(self, published: PublishedCatalog) -> None:
        """Begin without any."""
        self.published = published
        self.asked: Callable[[CheckQuestion], Asked] = lru_cache(QUESTIONS_KEPT_MAX)(self._ask)
        """Gives a question as asked. Raises InvalidArgumentError, keeping nothing, if faulty."""

    def _ask(self, question: CheckQuestion) -> Asked:
        check_question(question, self.published.catalog)
        return ask(question, self.published)
