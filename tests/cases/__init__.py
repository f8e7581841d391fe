"""Case files, run through gRPC against a whole system on real PostgreSQL and Redis.

What lives here: the runner (`python -m tests.cases DIR`), its parts, and copies of the hand-written
cases. What must not: the meaning of anything; a case file says what is expected.
"""
