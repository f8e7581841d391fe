"""Models of "No stale ALLOW", small enough to be explored completely.

What lives here: the protocol of `design.md`, steps 1 to 8, as small models of steps over immutable
states, and a breadth-first search that visits every state. What must not: anything imported from
decision, store or service. A model says what is meant; other tests show that it is done.

The promise in each model: no check that starts after EFFECTIVE answers ALLOW from the cache because
of what was there before. Each clause of the protocol is a member of a model's `Clause`. Switched
off, it must give a stale ALLOW, whose shortest trace the test prints (`pytest -rP`); so the clause
is needed and the model is able to fail. A member of `Spare` is something the protocol does although
it is safe without within these bounds: exploring without it finds nothing.

- `leasing`: lease, renewal, told floors, acknowledgement, release, repeated events, many processes
  and writers. Redis stays behind for good, so an answer is only as good as the guard.
- `guarding`: base and floors of one process, whatever Redis shows that a past was. It takes from
  `caching` that a shard applied up to a row shows that row, and from `leasing` that leases hold.
- `caching`: projector, fills and incarnations, while Redis is emptied and set back and messages to
  it are delayed, lost, repeated and reordered. A meta that went backward within its incarnation is
  merely replayed here. That is safe as long as what Redis comes back with was its own state once,
  whole with meta and records of the shard, and as long as the outbox rows are there; where they
  are not, a new incarnation begins.
- `restoring`: PostgreSQL set back to a backup, epochs and their settling.
- `joining`: reads of PostgreSQL that checks share.
- `timing`: what a process takes for now.

Each is explored for itself: that they fit together is an argument and no result of the search.
PostgreSQL is one server without replicas whose commits survive, except for a restore; a read sees
all that was committed before it was sent. Clocks run at the same speed, so there is no margin. The
bounds are in the tests.
"""
