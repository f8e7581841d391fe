"""Permission changes as the outbox stores them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from decision.answer import Answer
from decision.changes import Direction, PermissionChange
from decision.reasons import Reason
from store.chain import canonical_json
from store.change_codec import decode_changes, encode_changes
from tests.unit.record_builders import INSTANTS, NUMBERS, SCOPES

ANSWERS = st.builds(Answer, st.sampled_from(Reason), st.sampled_from(INSTANTS), st.none())
ENDS = st.tuples(st.sampled_from(Direction), st.sampled_from(INSTANTS), ANSWERS, ANSWERS)


@given(st.lists(ENDS, min_size=1, max_size=3), st.data())
def test_changes_are_written_canonically_and_read_again(
    ends: list[tuple[Direction, int, Answer, Answer]], data: st.DataObject
) -> None:
    """Scopes that share their answers are written as others are, in canonical JSON."""
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(SCOPES), st.sampled_from(ends))))
    changes = [PermissionChange(scope, *end) for scope, end in drawn]

    written = encode_changes(changes, NUMBERS)

    assert written == canonical_json(json.loads(written))
    assert decode_changes(json.loads(written), NUMBERS) == changes
