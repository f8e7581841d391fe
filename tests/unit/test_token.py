"""Tokens: what they say and how they are refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.errors import InvalidArgumentError
from store.meta import CacheLife, Meta, decode_meta, encode_meta
from store.sharding import SHARD_COUNT
from store.token import CHARACTERS_MAX, Token, decode_token

positions = st.dictionaries(st.integers(0, SHARD_COUNT - 1), st.integers(0, 2**63 - 1))
epochs = st.integers(0, 2**31 - 1)


def meta(epoch: int = 1, applied_seq: int = 0) -> Meta:
    """A meta of which a test names only what matters to it."""
    return Meta(CacheLife(epoch, 1), applied_seq, 0, is_complete=False, newest_publication=0)


@given(epochs, positions)
def test_a_token_survives_its_text(epoch: int, seqs: dict[int, int]) -> None:
    """A token read from its text is the same, and the text is safe in URLs."""
    text = Token(epoch, seqs).encode()
    assert decode_token(text) == Token(epoch, seqs)
    assert len(text) <= CHARACTERS_MAX
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(epochs, positions, st.data())
def test_a_token_with_one_character_changed_is_refused(
    epoch: int, seqs: dict[int, int], data: st.DataObject
) -> None:
    """Damage does not pass for another position."""
    text = Token(epoch, seqs).encode()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("AZaz09-_ =+/\x00й").filter(lambda it: it != text[place]))
    with pytest.raises(InvalidArgumentError) as raised:
        decode_token(text[:place] + other + text[place + 1 :])
    assert [fault.field for fault in raised.value.faults] == ["token"]


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda it: base64.b64encode(it).decode()))
def test_anything_else_is_refused(text: str) -> None:
    """What is no token is an invalid argument and nothing worse."""
    with pytest.raises(InvalidArgumentError):
        decode_token(text)


def test_an_overlong_token_is_refused() -> None:
    """Length is checked before anything is decoded."""
    with pytest.raises(InvalidArgumentError):
        decode_token("A" * (CHARACTERS_MAX + 4))


def test_a_token_is_reached_from_its_seq_on_in_its_epoch() -> None:
    """A shard that shows the seq shows the write; one of another epoch proves nothing."""
    token = Token(1, {5: 10})
    assert not token.is_reached_by(5, meta(applied_seq=9))
    assert token.is_reached_by(5, meta(applied_seq=10))
    assert not token.is_reached_by(5, meta(epoch=2, applied_seq=10))


def test_a_token_says_nothing_of_other_shards() -> None:
    """A shard that the write did not concern need not move."""
    assert Token(1, {5: 10}).is_reached_by(6, meta())


def test_a_meta_survives_its_text() -> None:
    """A meta read from its text is the same."""
    whole = Meta(CacheLife(3, 7), 2**53, 11, is_complete=True, newest_publication=12)
    assert decode_meta(encode_meta(whole)) == whole


@pytest.mark.parametrize(
    "text", [None, b"", b"1 2 3 4 5", b"1 2 3 4 2 6", b"1 2 x 4 1 6", b"-1 2 3 4 1 6"]
)
def test_what_is_no_meta_is_as_good_as_lost(text: bytes | None) -> None:
    """Damage is never read as a position."""
    assert decode_meta(text) is None
