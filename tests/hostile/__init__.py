"""Hostile input: whatever anybody may send, a server answers, and tells nothing but its answer."""
