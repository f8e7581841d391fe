"""Who asks, and what they may: callers, their roles, and what each role may call.

What lives here: from a token or a certificate to a caller, the one table of who may call what, the
rules for those who may see only what is their own, and the limits of each caller. How calls are
guarded is `service.guards`'; how connections are secured is `service.tls`'.
"""
