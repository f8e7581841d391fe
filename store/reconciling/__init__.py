"""The reconciler: finds what is kept ready and does not follow from the ledger, and repairs it.

What lives here: sampling customers all the time, comparing what Redis holds, the stored state and
a fresh fold of the ledger, and putting right what differs. Comparing Redis with the states is
`store.comparing`'s, which `maywe cache verify` uses too. Nothing here is needed for the promise of
`design.md`: it is there for what nobody has thought of, and says aloud when that has happened.
"""

from store.reconciling.differences import DifferenceKind, ReconcilerCounts
from store.reconciling.worker import CUSTOMERS_PER_SECOND, Reconciler

__all__ = ["CUSTOMERS_PER_SECOND", "DifferenceKind", "Reconciler", "ReconcilerCounts"]
