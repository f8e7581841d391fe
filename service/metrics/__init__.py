"""Metrics: what is counted while maywe runs, and how Prometheus is told.

What lives here: the table of metrics (`table`), the memory that processes of one port count in
(`memory`), what counts (`meters`, `sampling`, `observing`), and the address where all of it is told
as one (`exposition`, `port`). docs/monitoring.md follows from the table.
"""
