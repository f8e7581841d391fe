"""Sabotage: single clauses of the protocol switched off, to show that their absence would be seen.

What lives here: for each clause of the allow rule, of renewal, filling and acknowledgement a way to
disable it in a running product (`design.md`, "No stale ALLOW"). Who shows what comes of it is
`tests.schedules`, on stores and parts in one process. Nothing of it is reachable from the product.
"""
