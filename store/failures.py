"""Failures in a row: which of them are told.

What lives here: the rule for the log, so that an outage fills none.
"""


def is_told(failures_in_a_row: int) -> bool:
    """Tell whether the log says of this failure: the 1st, 2nd, 4th, 8th … in a row."""
    return failures_in_a_row & (failures_in_a_row - 1) == 0
