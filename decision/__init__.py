"""What a consent means: pure functions and values, standard library only.

Nothing in this package reads a clock, does I/O, logs or draws random numbers. Everything that
answers a question in maywe, cached or not, goes through `fold`, `timeline` and `answer` here, so
that two ways of asking can not disagree.
"""
