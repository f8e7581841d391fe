"""The table of metrics: each with its name, its labels and what it is for.

What lives here: one entry for every metric, and every value that a label can have. So the number of
series is bounded, and no label can hold anything of a person: what is not in this table has no
place to be counted in (`memory`). docs/monitoring.md follows from it (`document`).
"""

from collections.abc import Iterable
from typing import Final

from decision.grants import UnmatchedCause
from service.metrics.labels import (
    AUDIENCE,
    BATCH_OUTCOMES,
    DECIDING,
    DECISION_REASONS,
    EXECUTORS,
    JOURNAL_OUTCOMES,
    METHOD_LABELS,
    OUTCOMES,
    POSTGRESQL_READS,
    STREAMING,
    TASKS,
)
from service.metrics.metric import (
    ANSWERING,
    KEEPING,
    WORKER,
    WRITER,
    Across,
    Kind,
    Label,
    Metric,
    Reading,
)
from store.lookups import LookupResult, StaleCause
from store.reconciling.differences import DifferenceKind


def _label(name: str, values: Iterable[str]) -> Label:
    return Label(name, tuple(values))


_METHOD: Final = _label("method", METHOD_LABELS)

METRICS: Final = (
    Metric(
        "maywe_calls_total",
        Kind.COUNTER,
        "Calls that have ended, by method, status code and reason (ErrorReason; empty with OK). "
        "Refused and shed ones are among them.",
        (
            _METHOD,
            _label("code", dict.fromkeys(code for code, _ in OUTCOMES)),
            _label("reason", dict.fromkeys(reason for _, reason in OUTCOMES)),
        ),
        series_given=tuple((method, *outcome) for method in METHOD_LABELS for outcome in OUTCOMES),
    ),
    Metric(
        "maywe_call_duration_seconds",
        Kind.HISTOGRAM,
        "How long calls with one answer took in the server, waiting for a thread included. Calls "
        "that were shed before they had one are not among them.",
        (_label("method", (method for method in METHOD_LABELS if method not in STREAMING)),),
        units_per_one=1_000_000_000,
    ),
    Metric(
        "maywe_streams_open",
        Kind.GAUGE,
        "Streams of answers that are open.",
        (_label("method", (method for method in METHOD_LABELS if method in STREAMING)),),
    ),
    Metric(
        "maywe_calls_under_way",
        Kind.GAUGE,
        "Calls that have or wait for a thread, by the pool of threads; looked at once a second.",
        (_label("executor", EXECUTORS),),
    ),
    Metric(
        "maywe_shed_calls_total",
        Kind.COUNTER,
        "Calls refused because too much was asked at once: of a pool of threads, of reads of "
        "PostgreSQL, or by one caller.",
        (_label("limit", (*EXECUTORS, POSTGRESQL_READS, "caller")),),
    ),
    Metric(
        "maywe_decisions_total",
        Kind.COUNTER,
        "Answers to questions, by the reason that they gave (Reason): ALLOWED is every ALLOW, "
        "UNAVAILABLE what could not be known, and all others are DENY; partners are told WITHHELD.",
        (_label("method", (*DECIDING, AUDIENCE)), _label("reason", DECISION_REASONS)),
        ANSWERING,
    ),
    Metric(
        "maywe_batch_checks_total",
        Kind.COUNTER,
        "Questions of BatchCheck: answered, not to be known, or refused as faulty.",
        (_label("outcome", BATCH_OUTCOMES),),
        ANSWERING,
    ),
    Metric(
        "maywe_cache_lookups_total",
        Kind.COUNTER,
        "Customers looked up in Redis for an answer, by what came of it: `hit` answered, with all "
        "others PostgreSQL was asked.",
        (_label("result", (result.value for result in LookupResult)),),
        ANSWERING,
    ),
    Metric(
        "maywe_stale_denials_total",
        Kind.COUNTER,
        "Customers whose record in Redis was denied to answer because it may be out of date, by "
        "what it lacked. The same as the lookups with the result `stale`.",
        (_label("cause", (cause.value for cause in StaleCause)),),
        ANSWERING,
    ),
    Metric(
        "maywe_postgresql_reads_total",
        Kind.COUNTER,
        "Reads of PostgreSQL for checks that Redis could not answer; one reads many customers.",
        servers=ANSWERING,
    ),
    Metric(
        "maywe_postgresql_read_customers_total",
        Kind.COUNTER,
        "Customers read from PostgreSQL for checks that Redis could not answer.",
        servers=ANSWERING,
    ),
    Metric(
        "maywe_postgresql_reads_given_up_total",
        Kind.COUNTER,
        "Checks that failed because a read of PostgreSQL took too long.",
        servers=ANSWERING,
    ),
    Metric(
        "maywe_postgresql_reads_waiting",
        Kind.GAUGE,
        "Customers that wait to be read from PostgreSQL.",
        servers=ANSWERING,
    ),
    Metric(
        "maywe_journal_decisions_total",
        Kind.COUNTER,
        "Answers that the journal was given, by what became of them: `written`, `shed` for want of "
        "room (of a sample; else the call is refused), or `lost`, which the log names.",
        (_label("outcome", JOURNAL_OUTCOMES),),
        ANSWERING,
    ),
    Metric(
        "maywe_journal_decisions_waiting",
        Kind.GAUGE,
        "Answers that wait to be written into the journal.",
        servers=ANSWERING,
    ),
    Metric(
        "maywe_lease_age_seconds",
        Kind.GAUGE,
        "How long ago the lease was renewed; of several processes the oldest.",
        servers=ANSWERING,
        across=Across.MAX,
        reading=Reading.SINCE,
    ),
    Metric(
        "maywe_lease_remaining_seconds",
        Kind.GAUGE,
        "How long the lease still holds; at 0 no check is answered from Redis. Of several "
        "processes the shortest.",
        servers=ANSWERING,
        across=Across.MIN,
        reading=Reading.UNTIL,
    ),
    Metric(
        "maywe_floor_lag_customers",
        Kind.GAUGE,
        "Customers of whom something was taken away that Redis did not show yet when the lease was "
        "renewed; PostgreSQL is asked about them.",
        servers=ANSWERING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_floor_lag_seconds",
        Kind.GAUGE,
        "For how long Redis has not shown the oldest of these; 0 where there are none.",
        servers=ANSWERING,
        across=Across.MAX,
        reading=Reading.SINCE,
    ),
    Metric(
        "maywe_acknowledgements_total",
        Kind.COUNTER,
        "Writes acknowledged, by what was promised: `effective` or only `durable`.",
        (_label("durability", ("effective", "durable")),),
        frozenset({WRITER}),
    ),
    Metric(
        "maywe_projector_lag_rows",
        Kind.GAUGE,
        "Changes that are recorded and that Redis does not show yet, of the whole installation.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_projector_lag_seconds",
        Kind.GAUGE,
        "How long ago the oldest of these was recorded; 0 where there are none.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_projector_rows_total",
        Kind.COUNTER,
        "Changes that the projector of this server has put into Redis.",
        servers=KEEPING,
    ),
    Metric(
        "maywe_projector_failures_total",
        Kind.COUNTER,
        "How often projecting failed, as while Redis does not answer.",
        servers=KEEPING,
    ),
    Metric(
        "maywe_cache_shards_begun_total",
        Kind.COUNTER,
        "Shards whose cache was begun anew, because Redis did not hold what PostgreSQL knows.",
        servers=KEEPING,
    ),
    Metric(
        "maywe_epochs_begun_total",
        Kind.COUNTER,
        "How often PostgreSQL was found behind what was seen of it, as after a restore.",
        servers=KEEPING,
    ),
    Metric(
        "maywe_cache_shards_incomplete",
        Kind.GAUGE,
        "Shards of which Redis does not hold everybody, of the whole installation.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_rollout_publication",
        Kind.GAUGE,
        "The number of the newest publication; 0 before the first.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_rollout_customers",
        Kind.GAUGE,
        "Customers whom the newest publication is rolled out to.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_rollout_customers_done",
        Kind.GAUGE,
        "Customers whom it has been rolled out to.",
        servers=KEEPING,
        across=Across.MAX,
    ),
    Metric(
        "maywe_rollout_progress_ratio",
        Kind.GAUGE,
        "How much of the newest publication's roll-out is done, 0 to 1.",
        servers=KEEPING,
        across=Across.MIN,
    ),
    Metric(
        "maywe_unmatched_purchases",
        Kind.GAUGE,
        "Purchases and consents that gave no consent or not every one, and wait for a publication, "
        "by why; counted once a minute.",
        (_label("cause", (cause.value for cause in UnmatchedCause)),),
        KEEPING,
        Across.MAX,
    ),
    Metric(
        "maywe_observation_age_seconds",
        Kind.GAUGE,
        "How long ago the figures of the whole installation were looked at; they are missing while "
        "PostgreSQL or Redis does not answer.",
        servers=KEEPING,
        across=Across.MIN,
        reading=Reading.SINCE,
    ),
    Metric(
        "maywe_reconciler_customers_total",
        Kind.COUNTER,
        "Customers compared with the ledger.",
        servers=frozenset({WORKER}),
    ),
    Metric(
        "maywe_reconciler_differences_total",
        Kind.COUNTER,
        "Differences found, by kind.",
        (_label("kind", (kind.name for kind in DifferenceKind)),),
        frozenset({WORKER}),
    ),
    Metric(
        "maywe_reconciler_possible_wrong_allows_total",
        Kind.COUNTER,
        "Differences because of which a check may have answered ALLOW wrongly.",
        servers=frozenset({WORKER}),
    ),
    Metric(
        "maywe_reconciler_repairs_total",
        Kind.COUNTER,
        "Differences repaired.",
        servers=frozenset({WORKER}),
    ),
    Metric(
        "maywe_reconciler_failures_total",
        Kind.COUNTER,
        "Comparisons that ended early, and differences that a repair did not remove.",
        servers=frozenset({WORKER}),
    ),
    Metric(
        "maywe_background_failures_total",
        Kind.COUNTER,
        "Pieces of background work that failed and were tried again, by task. Of `bulk work` only "
        "where it has no processes of its own (`MAYWE_BULK_PROCESSES` is 0): theirs only log it.",
        (_label("task", TASKS),),
    ),
    Metric(
        "maywe_bulk_process_restarts_total",
        Kind.COUNTER,
        "Processes for imports and roll-outs that died and were started again.",
        servers=KEEPING,
    ),
    Metric(
        "maywe_process_cpu_seconds_total",
        Kind.COUNTER,
        "Processor time of the processes of the port.",
        units_per_one=1_000_000_000,
    ),
    Metric(
        "maywe_process_resident_memory_bytes",
        Kind.GAUGE,
        "Memory of the processes of the port.",
    ),
    Metric(
        "maywe_processes",
        Kind.GAUGE,
        "Processes of the port that run.",
        is_of_parent=True,
    ),
    Metric(
        "maywe_process_restarts_total",
        Kind.COUNTER,
        "Processes of the port that died and were started again.",
        is_of_parent=True,
    ),
    Metric(
        "maywe_process_start_time_seconds",
        Kind.GAUGE,
        "When the server began, in seconds since 1970: its process, or the parent of several. It "
        "changes when the whole server is started again.",
        is_of_parent=True,
    ),
)
"""Every metric that there is."""

BY_NAME: Final = {metric.name: metric for metric in METRICS}
