"""The file of callers: which certificate, or which subject of a token, is whom, with which roles.

What lives here: reading and checking the file, which docs/security.md describes. Whoever the file
does not name is nobody by certificate; by a token they are who the issuer says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from decision.errors import InvalidArgumentError, PublicationRefusedError
from service.access.roles import (
    RESERVED_NAMES,
    Caller,
    CallerLimits,
    Callers,
    Matcher,
    is_name,
    read_role,
)
from service.documents import Format, read_document

CERTIFICATE_FIELDS: Final = ("uri", "dns", "common_name")
SUBJECT: Final = "subject"
LIMIT_MAX: Final = 1_000_000
_FIELDS: Final = frozenset({"name", "certificate", "token", "roles", "calls_per_second", "streams"})


class CallersFileError(Exception):
    """The file of callers is faulty. The text says where, and what would be right."""


def read_callers(path: Path) -> Callers:
    """Read the file. Raises CallersFileError with every fault, and OSError."""
    try:
        document = read_document(path.read_text(encoding="utf-8"), Format.YAML)
    except UnicodeDecodeError as error:
        message = f"{path}: is not UTF-8"
        raise CallersFileError(message) from error
    except (InvalidArgumentError, PublicationRefusedError) as error:
        message = f"{path}: no YAML that can be read: {error.faults[0].problem}"
        raise CallersFileError(message) from error
    if not isinstance(document, dict) or set(document) != {"callers"}:
        message = f"{path}: one field `callers`, a list, is needed and nothing else"
        raise CallersFileError(message)
    entries = document["callers"]
    if not isinstance(entries, list):
        message = f"{path}: callers: a list is needed"
        raise CallersFileError(message)
    faults: list[str] = []
    callers: dict[Matcher, Caller] = {}
    for index, entry in enumerate(entries):
        try:
            matcher, caller = _read_entry(entry)
            if matcher in callers:
                problem = f"{matcher[0]} {matcher[1]!r} stands twice: one entry for each"
                raise ValueError(problem)  # noqa: TRY301 - told with its place, as the others
        except ValueError as error:
            faults.append(f"callers[{index}]: {error}")
        else:
            callers[matcher] = caller
    if faults:
        message = f"{path}: {'; '.join(faults)}"
        raise CallersFileError(message)
    return callers


def _read_entry(entry: object) -> tuple[Matcher, Caller]:
    if not isinstance(entry, dict):
        problem = "an object is needed"
        raise ValueError(problem)  # noqa: TRY004 - told with its place, as the others
    unknown = sorted(str(name) for name in set(entry) - _FIELDS)
    if unknown:
        problem = f"{', '.join(unknown)}: no such field, {', '.join(sorted(_FIELDS))} are"
        raise ValueError(problem)
    name = entry.get("name")
    if not isinstance(name, str) or not is_name(name):
        problem = (
            "name: a text of 1 to 128 characters without control characters is needed, and none of "
            + ", ".join(sorted(RESERVED_NAMES))
        )
        raise ValueError(problem)
    roles = entry.get("roles")
    if not isinstance(roles, list) or not roles or not all(isinstance(one, str) for one in roles):
        problem = "roles: a list of at least one role is needed"
        raise ValueError(problem)
    limits = CallerLimits(_limit(entry, "calls_per_second"), _limit(entry, "streams"))
    has_limits = {"calls_per_second", "streams"} & set(entry)
    return _read_matcher(entry), Caller(
        name, frozenset(map(read_role, roles)), limits if has_limits else None
    )


def _read_matcher(entry: Mapping[str, Any]) -> Matcher:
    """Read what identifies a caller: exactly one name of one kind."""
    given = [
        (place, field, value)
        for place in ("certificate", "token")
        if place in entry
        for field, value in (
            entry[place].items() if isinstance(entry[place], dict) else [("", None)]
        )
    ]
    allowed = {*(("certificate", field) for field in CERTIFICATE_FIELDS), ("token", SUBJECT)}
    if len(given) != 1 or given[0][:2] not in allowed:
        problem = (
            "exactly one of certificate: {uri: …}, certificate: {dns: …}, "
            "certificate: {common_name: …} and token: {subject: …} is needed"
        )
        raise ValueError(problem)
    _, field, value = given[0]
    if not isinstance(value, str) or not value:
        problem = f"{field}: a text is needed"
        raise ValueError(problem)
    return field, value


def _limit(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name, 0)
    if type(value) is not int or not 0 <= value <= LIMIT_MAX:
        problem = f"{name}: a whole number from 0 (no limit) to {LIMIT_MAX} is needed"
        raise ValueError(problem)
    return value
