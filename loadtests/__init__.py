"""Measurements on real servers: `make bench`, described in docs/performance.md.

Absolute figures are of one machine and one hour. What matters is a ratio of two things that were
run in turn.
"""
