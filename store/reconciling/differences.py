"""What a reconciler finds: kinds of differences, their counts, and the alarm for each.

What lives here: values and log lines. An alarm names a person by the surrogate subject only, as
customer ids are personal data.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from decision.changes import first_losses
from decision.instants import Instant
from decision.timeline import PermissionTimeline

_logger = logging.getLogger(__name__)


class DifferenceKind(Enum):
    """What differs from what, in words for the log."""

    STATE = "the state does not follow from the ledger"
    STATE_MISSING = "there is no state"
    PERMISSIONS = "the permissions by scope do not follow from the ledger"
    UNMATCHED = "the unmatched events do not follow from the ledger"
    NEXT_CHANGE = "the next change by time is not when the state says"
    RECORD_DAMAGED = "Redis holds bytes that are no record"
    RECORD_CONTENT = "Redis holds the state's version with other content"
    RECORD_AHEAD = "Redis holds a version that the state has not reached"
    RECORD_BEHIND = "Redis holds an older version than it says is applied"
    RECORD_OF_LATER_LIFE = "Redis holds a record that the shard's present life can not replace"
    RECORD_LOST = "Redis holds no record in a shard that it says is complete"
    RECORD_OF_NOBODY = "Redis holds a record of somebody whom the ledger does not know"
    META_AHEAD = "Redis says that more of the shard is applied than there is"
    META_DAMAGED = "Redis holds bytes that are no meta of the shard"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, of a person or of a whole shard.

    `could_allow` and `could_deny` tell whether a check could have been answered ALLOW, or DENY,
    wrongly because of it.
    """

    kind: DifferenceKind
    shard: int
    subject: int | None = None
    could_allow: bool = False
    could_deny: bool = False


@dataclass(slots=True)
class ReconcilerCounts:
    """What a reconciler has done since it was made.

    `rounds` counts how often it has been through all customers. `failures` counts steps that ended
    early and differences that are still there after the repair.
    """

    customers_compared: int = 0
    records_scanned: int = 0
    rounds: int = 0
    differences: Counter[DifferenceKind] = field(default_factory=Counter)
    could_have_allowed: int = 0
    repaired: int = 0
    failures: int = 0

    def alarm(self, found: Iterable[Difference]) -> None:
        """Count differences and say them aloud."""
        for difference in found:
            self.differences[difference.kind] += 1
            self.could_have_allowed += difference.could_allow
            _logger.error(
                "%s: %s, shard %d: %s; wrong ALLOW possible: %s; wrong DENY possible: %s",
                difference.kind.name,
                "nobody's" if difference.subject is None else f"subject {difference.subject}",
                difference.shard,
                difference.kind.value,
                "YES" if difference.could_allow else "no",
                "yes" if difference.could_deny else "no",
            )

    @property
    def differences_found(self) -> int:
        """How many differences were found, of all kinds."""
        return self.differences.total()

    def summary(self) -> str:
        """Give all counts as one line."""
        by_kind = ", ".join(
            f"{kind.name} {count}"
            for kind, count in sorted(self.differences.items(), key=lambda item: item[0].name)
        )
        return (
            f"{self.customers_compared} customers compared, {self.differences_found} differences"
            f"{f' ({by_kind})' if by_kind else ''}, {self.could_have_allowed} possibly wrong ALLOW,"
            f" {self.repaired} repaired, {self.failures} failures"
        )


def difference_of(
    kind: DifferenceKind,
    shard: int,
    subject: int,
    shown: PermissionTimeline | None,
    right: PermissionTimeline,
    now: Instant,
) -> Difference:
    """Work out what a difference could have done, from what was shown instead of what is right.

    Of bytes that can not be read as a whole nobody knows what they might have allowed: they count
    as if they had.
    """
    return Difference(
        kind,
        shard,
        subject,
        could_allow=shown is None or bool(first_losses(shown, right, now)),
        could_deny=shown is None or bool(first_losses(right, shown, now)),
    )
