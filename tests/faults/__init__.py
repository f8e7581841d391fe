"""The fault campaign: real processes, clients that record what they saw, and a judge of the record.

What lives here: everything behind `make faults`. Whatever breaks, delays or sabotages the product
lives here and nowhere else; the product knows nothing of it. The judge takes only the history that
the clients recorded, so that a run can be judged again.
"""
