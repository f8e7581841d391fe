"""The command line, `maywe`."""
