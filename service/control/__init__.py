"""The private way from writers to decision processes, by which floors are raised at once.

What lives here: its messages, its server in a decision process, and its client in a writer. It is
no part of the public contract, and MUST be reachable from the installation's own processes only.
"""
