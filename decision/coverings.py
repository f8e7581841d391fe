"""Coverings: which grants cover which scopes, and which scopes are covered alike.

What lives here: the parting of a person's scopes into those that have the same grants with the same
ends, so that each part is worked out once. It is the inner loop of every fold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from decision.grants import AlikeEndings, Ending, Grant
from decision.scopes import Scope

PARTINGS_KEPT_MAX: Final = 4096
"""Combinations of wordings whose parting is kept; a catalog has few, and people repeat them."""


class Covering(NamedTuple):
    """Which grant covers a scope, and what ends the scope of it."""

    grant_index: int
    ending: Ending


CoveredScopes: TypeAlias = tuple[Sequence[Scope], Sequence[Covering]]

_Lists: TypeAlias = tuple[Sequence[Scope], ...]


def covered_alike(grants: Sequence[Grant]) -> Iterable[CoveredScopes]:
    """Part the scopes of grants by what covers them, in the order in which they are first met."""
    coverings_by_list: dict[int, list[Covering]] = {}
    lists: list[Sequence[Scope]] = []
    for index, grant in enumerate(grants):
        endings = grant.endings
        if type(endings) is not AlikeEndings:
            return _scope_by_scope(grants)
        coverings = coverings_by_list.get(id(endings.scopes))
        if coverings is None:
            coverings = coverings_by_list[id(endings.scopes)] = []
            lists.append(endings.scopes)
        coverings.append(Covering(index, endings.ending))
    coverings_of_lists = list(coverings_by_list.values())
    return [
        (scopes, _merged([coverings_of_lists[number] for number in numbers]))
        for scopes, numbers in _parting_of(tuple(lists))
    ]


def _merged(coverings: Sequence[Sequence[Covering]]) -> Sequence[Covering]:
    """Put coverings in the order of the grants, each of which is in one of them only."""
    if len(coverings) == 1:
        return coverings[0]
    return sorted(covering for part in coverings for covering in part)


def _scope_by_scope(grants: Sequence[Grant]) -> Iterable[CoveredScopes]:
    by_scope: dict[Scope, list[Covering]] = {}
    for index, grant in enumerate(grants):
        for scope, ending in grant.endings.items():
            by_scope.setdefault(scope, []).append(Covering(index, ending))
    alike: dict[tuple[Covering, ...], list[Scope]] = {}
    for scope, coverings in by_scope.items():
        alike.setdefault(tuple(coverings), []).append(scope)
    return [(scopes, coverings) for coverings, scopes in alike.items()]


_Parting: TypeAlias = Sequence[tuple[Sequence[Scope], Sequence[int]]]

# By the identities of lists of scopes, which are kept beside so that nobody else gets them.
_partings: dict[tuple[int, ...], tuple[_Lists, _Parting]] = {}


def _parting_of(lists: _Lists) -> _Parting:
    """Part the scopes of several lists by the numbers of the lists in which they are."""
    key = tuple(map(id, lists))
    found = _partings.get(key)
    if found is None:
        if len(_partings) >= PARTINGS_KEPT_MAX:
            _partings.clear()
        found = _partings[key] = (lists, _part(lists))
    return found[1]


def _part(lists: _Lists) -> _Parting:
    numbers_by_scope: Mapping[Scope, list[int]] = {
        scope: [] for scopes in lists for scope in scopes
    }
    for number, scopes in enumerate(lists):
        for scope in scopes:
            numbers_by_scope[scope].append(number)
    parting: dict[tuple[int, ...], list[Scope]] = {}
    for scope, numbers in numbers_by_scope.items():
        parting.setdefault(tuple(numbers), []).append(scope)
    return [(scopes, numbers) for numbers, scopes in parting.items()]
