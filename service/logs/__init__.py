"""Logs: how they are written, and to which request a line belongs."""
