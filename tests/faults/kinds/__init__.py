"""The kinds of faults: each a name, what it touches, and how it is injected and healed.

What lives here: faults only. When which of them is injected is planned elsewhere, and what follows
is the judge's. Every kind is a context manager: entering it injects, leaving it heals.
"""
