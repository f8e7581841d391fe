"""The canonical form of what is hashed, which may never change by a byte."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.importing.conversion import derived_event_id
from store.chain import canonical_json

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"', "\\", "/", "\x00", "\x1f", "\x7f", "\x80", "\u2028", "\u2029", "\ufeff", "\uffff", "😀"]
)
integers = st.integers(-(2**63), 2**63 - 1)
leaves = texts | integers | st.booleans() | st.none()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30
)


def as_always(value: object) -> bytes:
    """The form as the ledgers that there are have it, written by the standard library."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@given(values)
def test_what_is_hashed_has_the_form_that_it_always_had(value: object) -> None:
    """Whatever is recorded, every byte is the same: sorted by code point, escaped as little."""
    assert canonical_json(value).encode() == as_always(value)


def test_every_character_is_written_as_always() -> None:
    """Each one by itself, as a text and as a key."""
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            letter = chr(code)
            assert canonical_json(letter).encode() == as_always(letter), hex(code)
    keys = {chr(code): code for code in range(0x0, 0xD800, 7)} | {chr(0x1F600): 0, "\uffff": 1}
    assert canonical_json(keys).encode() == as_always(keys)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", {1: 2}])
def test_what_has_no_such_form_is_refused(value: object) -> None:
    """Nothing is hashed in another form than the one."""
    with pytest.raises(TypeError):
        canonical_json(value)


@given(
    st.dictionaries(texts, leaves | st.dictionaries(texts, leaves)),
    st.binary(min_size=32, max_size=32),
)
def test_an_event_id_is_derived_as_always(event: dict[str, Any], key: bytes) -> None:
    """The same row has the same id as when it was imported years ago."""
    digest = hmac.new(key, as_always(event), hashlib.sha256).hexdigest()
    assert derived_event_id(as_always(event), key) == f"row-{digest[:40]}"
