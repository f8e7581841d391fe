"""Evidence: what proves an answer, put together out of what was folded.

What lives here: choosing the grants, restrictions and events that bear on some scopes, and telling
what was not known yet at the instant asked about. Nothing is derived anew: grants and endings are
`fold`'s, answers are `answer`'s. The card of a customer is in `card`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from decision.answer import Answer, answer_scope
from decision.catalog import Catalog, Wording
from decision.events import Acquisition, ProductClosing, Restriction, TimelineEvent
from decision.fold import fold
from decision.grants import Ending, FoldedTimeline, Grant, ImposedRestriction
from decision.instants import Instant
from decision.matrix import MatrixRow
from decision.products import ProductKey
from decision.scopes import Scope
from decision.timeline import PermissionTimeline, permission_timeline


class Picture:
    """One person as known at one instant: the events that count, under the catalog known then."""

    def __init__(
        self, catalog: Catalog, events: Sequence[TimelineEvent], *, is_named_by_merge: bool
    ) -> None:
        """Take the events of all the person's ids, without void ones, and fold them when asked."""
        self.catalog = catalog
        self.events = events
        self.is_named_by_merge = is_named_by_merge

    @cached_property
    def folded(self) -> FoldedTimeline:
        """The grants, restrictions and unmatched events."""
        return fold(self.catalog, self.events, named_by_merge=self.is_named_by_merge)

    @cached_property
    def timeline(self) -> PermissionTimeline:
        """The permissions over all time."""
        return permission_timeline(self.folded)

    @cached_property
    def events_by_id(self) -> Mapping[str, TimelineEvent]:
        """The events that count, by id."""
        return {event.event_id: event for event in self.events}

    @cached_property
    def closings_by_product(self) -> Mapping[ProductKey, Sequence[TimelineEvent]]:
        """The closings of each product."""
        by_product: dict[ProductKey, list[TimelineEvent]] = {}
        for event in self.events:
            if isinstance(event.body, ProductClosing):
                by_product.setdefault(event.body.product.key, []).append(event)
        return by_product

    def answers(self, scopes: Sequence[Scope], at: Instant) -> list[Answer]:
        """Answer for each scope at one instant, in the order given."""
        return [
            answer_scope(self.timeline, self.catalog.suspension_of(scope), scope, at)
            for scope in scopes
        ]


class ShownGrant(NamedTuple):
    """A grant with its event, the scopes of it that are shown, and what was not known in time.

    `own_end` is when its term, its explicit end or the closing of its product ends it, whatever
    else ended it before.
    """

    grant: Grant
    event: TimelineEvent
    own_end: Ending
    scopes: Sequence[tuple[Scope, Ending]]
    brought_by_late_event: bool
    brought_by_later_publication: bool


class ShownRestriction(NamedTuple):
    """A restriction with its event, and when it would have ended had nothing lifted it."""

    restriction: ImposedRestriction
    event: TimelineEvent
    end_unless_lifted: Instant


def shown_grants(
    picture: Picture, catalog_then: Catalog, valid_at: Instant, asked: Collection[Scope] | None
) -> list[ShownGrant]:
    """Give the grants by when they were obtained; of `asked`, if given, those that cover any of it.

    `catalog_then` is the catalog known at `valid_at`, or at the known time if that is earlier. A
    grant whose event was recorded after `valid_at` was brought by a late event; one whose event was
    known, but gave no such grant under the catalog of then, by a later publication (`semantics.md`,
    As of).
    """
    known_then = {
        (grant.event_id, grant.consent_type, grant.wording_version): grant.endings.keys()
        for grant in _grants_under(catalog_then, picture, valid_at)
    }
    shown = []
    for grant in picture.folded.grants:
        scopes = [
            (scope, ending)
            for scope, ending in grant.endings.items()
            if asked is None or scope in asked
        ]
        if asked is not None and not scopes:
            continue
        event = picture.events_by_id[grant.event_id]
        is_late = event.recorded_at > valid_at
        covered_then = known_then.get((grant.event_id, grant.consent_type, grant.wording_version))
        was_given_then = covered_then is not None and all(
            scope in covered_then for scope, _ in scopes
        )
        own_end = _own_end(picture, grant, event)
        shown.append(
            ShownGrant(grant, event, own_end, scopes, is_late, not is_late and not was_given_then)
        )
    shown.sort(key=lambda one: (one.grant.obtained_at, one.grant.event_id, one.grant.consent_type))
    return shown


def _own_end(picture: Picture, grant: Grant, event: TimelineEvent) -> Ending:
    """Fold the grant's event as if nothing had happened since but closings of its product."""
    closings = picture.closings_by_product.get(grant.product.key, ()) if grant.product else ()
    alone = fold(picture.catalog, [event, *closings]).grants
    return next(one.term_end for one in alone if one.consent_type == grant.consent_type)


def _grants_under(catalog: Catalog, picture: Picture, valid_at: Instant) -> Sequence[Grant]:
    """Give what the events known at an instant gave under a catalog, whoever they belonged to then.

    Which grants there are follows from each event by itself, so what else was known is no matter.
    """
    if catalog is picture.catalog:
        return picture.folded.grants
    return fold(
        catalog, [event for event in picture.events if event.recorded_at <= valid_at]
    ).grants


def shown_restrictions(picture: Picture, asked: Collection[Scope] | None) -> list[ShownRestriction]:
    """Give the restrictions by their beginning; of `asked`, if given, those that select any."""
    # The same events without their liftings impose the same restrictions in the same order.
    unlifted = fold(
        picture.catalog,
        [event for event in picture.events if isinstance(event.body, Restriction | Acquisition)],
    ).restrictions
    shown = [
        ShownRestriction(imposed, picture.events_by_id[imposed.event_id], whole.end)
        for imposed, whole in zip(picture.folded.restrictions, unlifted, strict=True)
        if asked is None or any(imposed.selector.matches_scope(scope) for scope in asked)
    ]
    shown.sort(key=lambda one: (one.restriction.start, one.restriction.event_id))
    return shown


def events_that_mattered(picture: Picture, asked: Collection[Scope]) -> set[str]:
    """Give the ids of the events that gave, ended, imposed or lifted anything about `asked`."""
    return set(_mentioned(picture.folded, asked))


def void_events_that_mattered(
    picture: Picture, void_events: Sequence[TimelineEvent], asked: Collection[Scope]
) -> set[str]:
    """Give the ids of the void events that would have mattered had they counted.

    Those found are set aside and the rest looked at again, as one may stand before another: of two
    void revocations only the earlier ends anything. Each turn sets one aside at least.
    """
    found: set[str] = set()
    rest = list(void_events)
    while rest:
        as_if = Picture(
            picture.catalog,
            [*picture.events, *rest],
            is_named_by_merge=picture.is_named_by_merge,
        )
        met = {event.event_id for event in rest} & events_that_mattered(as_if, asked)
        if not met:
            break
        found |= met
        rest = [event for event in rest if event.event_id not in met]
    return found


def _mentioned(folded: FoldedTimeline, asked: Collection[Scope]) -> Iterator[str]:
    for grant in folded.grants:
        for scope, ending in grant.endings.items():
            if scope in asked:
                yield grant.event_id
                if ending.event_id:
                    yield ending.event_id
    for restriction in folded.restrictions:
        if any(restriction.selector.matches_scope(scope) for scope in asked):
            yield restriction.event_id
            if restriction.lifted_by_event_id:
                yield restriction.lifted_by_event_id


def wordings_of(grants: Sequence[ShownGrant], catalog: Catalog) -> list[Wording]:
    """Give the wordings of grants, each once, by consent type and version."""
    named = sorted({(shown.grant.consent_type, shown.grant.wording_version) for shown in grants})
    found = [catalog.wording(consent_type, version) for consent_type, version in named]
    return [wording for wording in found if wording is not None]


def matrix_rows_of(grants: Sequence[ShownGrant], catalog: Catalog) -> list[MatrixRow]:
    """Give the matrix rows by which purchases gave grants, each once, by id."""
    ids = {shown.grant.matrix_row_id for shown in grants}
    return sorted((row for row in catalog.matrix_rows if row.id in ids), key=lambda row: row.id)
