"""Coverings: which grants cover which scopes, and which scopes are covered alike.

What lives here: the parting of a person's scopes into those that have the same grants with the same
ends, so that each part is worked out once. It is the inner loop of every fold.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from decision.grants import AlikeEndings, Ending, Grant
from decision.partings import PARTINGS_KEPT_MAX, Parting, parting_of
from decision.scopes import Scope

Covering: TypeAlias = tuple[int, Ending]
"""The index of a grant that covers a scope, and what ends the scope of it."""

_Lists: TypeAlias = tuple[Sequence[Scope], ...]


class CoveredScopes(NamedTuple):
    """Scopes parted by what covers them, with the coverings of each part in the grants' order."""

    parting: Parting
    coverings: Sequence[Sequence[Covering]]


def covered_alike(grants: Sequence[Grant]) -> CoveredScopes:
    """Part the scopes of grants by what covers them, in the order in which they are first met."""
    coverings_by_list: dict[int, list[Covering]] = {}
    lists: list[Sequence[Scope]] = []
    for index, grant in enumerate(grants):
        endings = grant.endings
        if type(endings) is not AlikeEndings:
            return _scope_by_scope(grants)
        scopes = endings.scopes
        coverings = coverings_by_list.get(id(scopes))
        if coverings is None:
            coverings_by_list[id(scopes)] = [(index, endings.ending)]
            lists.append(scopes)
        else:
            coverings.append((index, endings.ending))
    parting, numbers_of_parts = _parting_of(tuple(lists))
    coverings_of_lists = list(coverings_by_list.values())
    return CoveredScopes(
        parting,
        [
            coverings_of_lists[numbers[0]]
            if len(numbers) == 1
            else sorted(covering for number in numbers for covering in coverings_of_lists[number])
            for numbers in numbers_of_parts
        ],
    )


def _scope_by_scope(grants: Sequence[Grant]) -> CoveredScopes:
    by_scope: dict[Scope, list[Covering]] = {}
    for index, grant in enumerate(grants):
        for scope, ending in grant.endings.items():
            by_scope.setdefault(scope, []).append((index, ending))
    alike: dict[tuple[Covering, ...], list[Scope]] = {}
    for scope, coverings in by_scope.items():
        alike.setdefault(tuple(coverings), []).append(scope)
    return CoveredScopes(parting_of(alike.values()), list(alike))


_PartedLists: TypeAlias = tuple[Parting, Sequence[Sequence[int]]]

# By the identities of lists of scopes, which are kept beside so that nobody else gets them.
_partings: dict[tuple[int, ...], tuple[_Lists, _PartedLists]] = {}


def _parting_of(lists: _Lists) -> _PartedLists:
    """Part the scopes of several lists by the numbers of the lists in which they are."""
    key = tuple(map(id, lists))
    found = _partings.get(key)
    if found is None:
        if len(_partings) >= PARTINGS_KEPT_MAX:
            _partings.clear()
        found = _partings[key] = (lists, _part(lists))
    return found[1]


def _part(lists: _Lists) -> _PartedLists:
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
