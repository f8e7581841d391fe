"""Coverings: which grants cover which scopes, and which scopes are covered alike.

What lives here: the parting of a person's scopes into those that have the same grants with the same
ends, so that each part is worked out once. It is the inner loop of every fold.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from decision.grants import Grant
from decision.instants import Instant
from decision.partings import PARTINGS_KEPT_MAX, Parting, parting_of
from decision.reasons import Reason
from decision.scopes import Scope

Covering: TypeAlias = tuple[Instant, int, Instant, Reason]
"""When a grant that covers a scope was obtained, its index, when the scope of it ends, and by what.

They sort by when they were obtained, then as the grants stand.
"""


class CoveredScopes(NamedTuple):
    """Scopes parted by what covers them, with the coverings of each part in no certain order."""

    parting: Parting
    coverings: Sequence[list[Covering]]


def covered_alike(grants: Sequence[Grant]) -> CoveredScopes:
    """Part the scopes of grants by what covers them, in the order in which they are first met."""
    # By the identities of the lists of scopes that end alike.
    by_list: dict[int, tuple[Sequence[Scope], list[Covering]]] = {}
    for index, (basis, ended_by, scopes, _, _, ends_apart) in enumerate(grants):
        if ends_apart:
            for part, covering in _parts_of(grants[index], index):
                by_list.setdefault(id(part), (part, []))[1].append(covering)
        else:
            covering = (basis.obtained_at, index, basis.ends_at, ended_by)
            by_list.setdefault(id(scopes), (scopes, []))[1].append(covering)
    parting, numbers_of_parts = _parting_of(tuple(by_list), [*by_list.values()])
    coverings_of_lists = [coverings for _, coverings in by_list.values()]
    return CoveredScopes(
        parting,
        [
            coverings_of_lists[numbers[0]]
            if len(numbers) == 1
            else [covering for number in numbers for covering in coverings_of_lists[number]]
            for numbers in numbers_of_parts
        ],
    )


def _parts_of(grant: Grant, index: int) -> Iterator[tuple[Sequence[Scope], Covering]]:
    """Give the scopes of a grant some of which end apart, in lists that end alike."""
    by_ending: dict[tuple[Instant, Reason], list[Scope]] = {}
    for scope, (ends_at, ended_by, _) in grant.endings.items():
        by_ending.setdefault((ends_at, ended_by), []).append(scope)
    for (ends_at, ended_by), scopes in by_ending.items():
        # Lists are told apart by what they are, so the same ones have to be one object.
        [[one_and_the_same]] = [parting_of([scopes]).parts]
        yield one_and_the_same, (grant.obtained_at, index, ends_at, ended_by)


_PartedLists: TypeAlias = tuple[Parting, Sequence[Sequence[int]]]

# By the identities of lists of scopes, which are kept beside so that nobody else gets them.
_partings: dict[tuple[int, ...], tuple[Sequence[Sequence[Scope]], _PartedLists]] = {}


def _parting_of(
    identities: tuple[int, ...], covered: Sequence[tuple[Sequence[Scope], object]]
) -> _PartedLists:
    """Part the scopes of several lists by the numbers of the lists in which they are."""
    found = _partings.get(identities)
    if found is None:
        if len(_partings) >= PARTINGS_KEPT_MAX:
            _partings.clear()
        lists = [scopes for scopes, _ in covered]
        found = _partings[identities] = (lists, _part(lists))
    return found[1]


def _part(lists: Sequence[Sequence[Scope]]) -> _PartedLists:
    numbers_by_scope: Mapping[Scope, list[int]] = {
        scope: [] for scopes in lists for scope in scopes
    }
    for number, scopes in enumerate(lists):
        for scope in scopes:
            numbers_by_scope[scope].append(number)
    parting: dict[tuple[int, ...], list[Scope]] = {}
    for scope, numbers in numbers_by_scope.items():
        parting.setdefault(tuple(numbers), []).append(scope)
    return parting_of(parting.values()), list(parting)
