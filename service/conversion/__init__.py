"""Conversion: messages of the contract to domain values, and domain values to messages.

Here lives all of that, and nothing else: no module outside this package makes one of the other.
"""
