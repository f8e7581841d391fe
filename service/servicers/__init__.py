"""Servicers: one module for each service of the contract, or for a large part of one.

Here live the calls: messages are read, the store is asked, messages are written. Servicers raise
`decision.errors`; what status an exception becomes is decided in `service.errors`.
"""
