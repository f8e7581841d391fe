"""Shards follow from customer ids alone, one by one or many at once."""

from hypothesis import given
from hypothesis import strategies as st

from store.sharding import SHARD_COUNT, shard_of, shards_of


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=150), max_size=20))
def test_many_have_the_shards_that_each_has(customer_ids: list[str]) -> None:
    """The one way is only faster than the other."""
    assert shards_of(customer_ids).tolist() == [shard_of(one) for one in customer_ids]


def test_a_shard_never_changes() -> None:
    """Records lie under it, and the hash chain of its events."""
    assert [shard_of(one) for one in ("", "anna", "customer-1", "Ольга")] == KNOWN
    assert all(number < SHARD_COUNT for number in KNOWN)


KNOWN = [52, 12, 61, 22]
