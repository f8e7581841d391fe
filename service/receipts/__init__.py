"""Receipts: answers that whoever holds them can show to others, who need nobody's word for them.

What lives here: what a receipt says, signing it, the keys, and verifying it with nothing but the
public ones. `verifying` and `keys` know nothing of servers.
"""
