"""The channels that a check suggests: those that are allowed, however few are looked at."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from decision.answer import answer_scope
from decision.instants import Instant
from decision.scopes import Scope, ScopeKind
from decision.timeline import PermissionTimeline
from service.asked import Asked
from service.checking import _allowed_channels
from store.publications import NOTHING_PUBLISHED
from tests.unit.record_builders import ASKABLE, SCOPES, timelines

CONTACTS = [scope for scope in SCOPES if scope.kind is ScopeKind.CONTACT]


@given(
    timeline=timelines(),
    at=st.sampled_from(ASKABLE),
    scope=st.sampled_from(CONTACTS),
    is_shared=st.booleans(),
)
def test_channels_that_share_their_segments_are_suggested_alike(
    timeline: PermissionTimeline, at: Instant, scope: Scope, *, is_shared: bool
) -> None:
    """What is suggested is what each channel's own answer says, restricted or not."""
    if is_shared and timeline.segments:
        segments = next(iter(timeline.segments.values()))
        timeline = replace(timeline, segments=dict.fromkeys(CONTACTS[1:], segments))
    channels = tuple((channel.channel, channel) for channel in CONTACTS)
    asked = Asked(NOTHING_PUBLISHED, ((scope, None),), channels, tuple(CONTACTS))
    answer = answer_scope(timeline, None, scope, at)
    assert _allowed_channels(timeline, asked, answer, at) == [
        code for code, channel in channels if answer_scope(timeline, None, channel, at).is_allowed
    ]
