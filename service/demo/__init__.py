"""The demonstration: an invented history, and the questions asked about it.

What lives here: nothing that production needs.
"""
