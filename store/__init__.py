"""The ledger in PostgreSQL and the cache in Redis. Knows `decision`, nothing of gRPC."""
