"""A deliberately naive model of the consent semantics, and generators of scenarios.

What lives here: an executable reading of semantics.md that is written from the text
alone, slow and plain, and the generators whose scenarios compare it with the real thing.
What must not: anything imported from decision, store or service. A model that shared
code with what it checks would share its mistakes.
"""
