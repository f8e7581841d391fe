"""Timelines to be written as records: strategies, and what they are made of."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from decision.catalog_history import CodeList
from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER, Instant
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import ScopeKind, contact, process, share
from decision.selectors import EVERYTHING, Selector
from decision.timeline import NO_BASIS, PermissionTimeline, RestrictedInterval, Segment
from store import record
from store.code_numbers import CodeNumbers

NUMBERS = CodeNumbers(
    {
        (code_list, f"{code_list.value}-{index}"): index
        for code_list in (CodeList.PURPOSE, CodeList.CHANNEL, CodeList.PARTNER, CodeList.DATASET)
        for index in (1, 2)
    }
    | {
        (code_list, f"numbered-{index}"): index
        for code_list in (
            CodeList.CONSENT_TYPE,
            CodeList.MATRIX_ROW,
            CodeList.SYSTEM_CODE,
            CodeList.PRODUCT_TYPE,
        )
        for index in (1, 2)
    }
)
PURPOSES = ("purpose-1", "purpose-2")
SCOPES = [
    *(contact(purpose, channel) for purpose in PURPOSES for channel in ("channel-1", "channel-2")),
    *(
        share(purpose, partner, dataset)
        for purpose in PURPOSES
        for partner in ("partner-1", "partner-2")
        for dataset in ("dataset-1", "dataset-2")
    ),
    *(process(purpose) for purpose in PURPOSES),
]
HOUR = 3600 * 1_000_000
MADE_AT = 1000 * 24 * HOUR
INSTANTS = [MADE_AT + offset * HOUR for offset in (-100, -25, -24, -23, -1, 0, 1, 100)]
# A record with one that is of no whole second keeps all of its instants exactly.
INSTANTS.append(MADE_AT + HOUR // 2 + 1)

short = st.text(max_size=4)
"""With longer texts a record may not be a narrow one."""
products = st.none() | st.builds(Product, short, short, short, short)
bases = st.builds(
    Basis,
    st.text(min_size=1, max_size=5) | st.uuids().map(str),
    st.text(min_size=1, max_size=5) | st.sampled_from(["numbered-1", "numbered-2"]),
    st.integers(1, 3),
    products,
    st.sampled_from(INSTANTS),
    st.sampled_from([*INSTANTS, FOREVER]),
    st.text(max_size=3),
)
selectors = st.just(EVERYTHING) | st.builds(
    Selector,
    kind=st.none() | st.sampled_from(ScopeKind),
    purpose=st.sampled_from(["", *PURPOSES]),
).filter(lambda selector: bool(selector.named()))
selectors |= st.builds(Selector, channel=st.sampled_from(["channel-1", "channel-2"]))
selectors |= st.builds(
    Selector,
    partner=st.sampled_from(["partner-1", "partner-2"]),
    dataset=st.sampled_from(["", "dataset-1"]),
)


@st.composite
def segments(draw: st.DrawFn, basis_count: int) -> list[Segment]:
    """Adjacent segments from the beginning or from some instant on, for ever."""
    starts = draw(st.lists(st.sampled_from([BEGINNING, *INSTANTS]), min_size=1, unique=True))
    starts.sort()
    found = []
    for start, end in zip(starts, [*starts[1:], FOREVER], strict=True):
        basis = draw(st.integers(NO_BASIS, basis_count - 1))
        denials = [it for it in Reason if it is not Reason.ALLOWED]
        reason = Reason.ALLOWED if basis != NO_BASIS else draw(st.sampled_from(denials))
        found.append(Segment(start, end, reason, basis))
    return found


@st.composite
def timelines(draw: st.DrawFn) -> PermissionTimeline:
    """Permissions of a known customer."""
    used = draw(st.lists(bases, max_size=4, unique=True))
    scopes = draw(st.lists(st.sampled_from(SCOPES), unique=True))
    restricted: list[RestrictedInterval] = []
    for selector in draw(st.lists(selectors, max_size=3)):
        start, end = sorted(
            draw(
                st.lists(st.sampled_from([*INSTANTS, FOREVER]), min_size=2, max_size=2, unique=True)
            )
        )
        restricted.append(RestrictedInterval(selector, start, end))
    return PermissionTimeline(
        is_known=True,
        segments={scope: draw(segments(len(used))) for scope in scopes},
        restrictions=restricted,
        bases=used,
    )


def widened(timeline: PermissionTimeline) -> PermissionTimeline:
    """The same with so many restrictions, all of them over, that its record is a wide one."""
    selector = Selector(dataset="dataset-2")
    added = [
        RestrictedInterval(selector, MADE_AT - second * 2_000_000, MADE_AT - second * 2_000_000 + 1)
        for second in range(1, 300)
    ]
    return replace(timeline, restrictions=[*timeline.restrictions, *added])


def encode(
    timeline: PermissionTimeline,
    version: int = 1,
    publication: int = 1,
    made_at: Instant = MADE_AT,
) -> bytes:
    """A record of which a test names only what matters to it."""
    return record.encode(
        timeline, NUMBERS, version=version, publication=publication, made_at=made_at
    )


ASKABLE: Sequence[Instant] = [at for at in INSTANTS if at >= MADE_AT - HOUR]
