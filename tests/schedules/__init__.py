"""Directed schedules: small worlds in one process, in which the absence of one clause shows.

What lives here: for each clause of `tests.sabotage` a hand-made order of events on the real parts
of the product, with real PostgreSQL and Redis. With the clause nothing stale is allowed; without it
the judge of the campaigns finds a stale ALLOW.
"""
