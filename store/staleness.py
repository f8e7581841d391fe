"""Lists while a publication is rolled out: states that are not under it yet are folded afresh.

What lives here: which states are stale, and how a list that goes on by a key takes them in. The
roll-out itself is in `rollout`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from store.publications import PublishedCatalog
from store.schema import shard, state


def is_rolled_out(connection: Connection, published: PublishedCatalog) -> bool:
    """Tell whether every state is right under a publication."""
    behind = select(shard.c.number).where(shard.c.rolled_out_publication < published.number)
    return connection.scalar(behind.limit(1)) is None


def is_stale(published: PublishedCatalog) -> ColumnElement[bool]:
    """Say of a state and its shard that the roll-out of a publication has not come by yet."""
    return (state.c.publication < published.number) & (
        shard.c.rolled_out_publication < published.number
    )


class Keys(NamedTuple):
    """Ascending keys that were found in a table; there may be more when `limit` were found."""

    found: Sequence[int]
    limit: int


class Window(NamedTuple):
    """The keys that come next in a list; `next_after` is None when there are no more after them."""

    keys: Sequence[int]
    next_after: int | None


def next_window(ready: Keys, stale: Keys, size: int) -> Window:
    """Join the next keys of what is ready and of what is stale, as far as both were read."""
    horizon = min(
        (keys.found[-1] for keys in (ready, stale) if len(keys.found) >= keys.limit), default=None
    )
    joined = sorted(
        {key for keys in (ready, stale) for key in keys.found if horizon is None or key <= horizon}
    )
    if len(joined) > size:
        joined = joined[:size]
        return Window(joined, joined[-1])
    return Window(joined, horizon)
