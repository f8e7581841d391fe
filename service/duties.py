"""Duties: what a process does beside its calls, over and over.

What lives here: which role has which duties, and how often each is seen to. `background` runs them,
and each knows itself what there is to do.
"""

from typing import Final

from service.application import Application, Role
from service.bulk import BulkWorker
from service.journalling import WRITE_SECONDS
from service.metrics.observing import OBSERVE_SECONDS, Observer
from service.metrics.sampling import SAMPLE_SECONDS, SETTLE_SECONDS
from service.metrics.watching import (
    follow_background,
    follow_journal,
    follow_projector,
    follow_reader,
    follow_reconciler,
)
from store.direct import DirectProjector
from store.journal_days import JournalDays
from store.lapses import LapseWorker
from store.reconciling import Reconciler
from store.retention import SECONDS_PER_DAY, OutboxPruner
from store.rewarming import Rewarmer

CATALOG_REFRESH_SECONDS: Final = 0.5
"""How often a process looks for a newer catalog when nothing else tells it of one."""

REFUSALS_FLUSH_SECONDS: Final = 0.5
"""How often it is looked whether there were more refusals of those kinds that were logged."""

GATE_REFRESH_SECONDS: Final = 0.5
"""How often it is looked whether callers or the keys of tokens have changed."""

WARMING_POLL_SECONDS: Final = 1.0
"""How often a writer looks for shards that Redis has lost."""

ERASURE_POLL_SECONDS: Final = 1.0
"""How often a writer looks for erasures that somebody began and did not complete."""

LAPSE_POLL_SECONDS: Final = 1.0
"""How often a writer looks for terms that have begun or lapsed."""

RETENTION_POLL_SECONDS: Final = 60.0
"""How often a worker looks for what need not be kept any longer."""


def start_duties(application: Application) -> None:
    """Begin with what the roles of a process have it do."""
    _start_everywhere(application)
    if application.roles & {Role.WRITER, Role.WORKER}:
        _start_for_writers(application)
    if Role.WORKER in application.roles:
        _start_for_workers(application)


def _start_everywhere(application: Application) -> None:
    background, instruments = application.background, application.instruments
    catalogs, sampler = application.catalogs, instruments.sampler
    background.repeat("catalogs", lambda _: catalogs.refresh(), CATALOG_REFRESH_SECONDS)
    background.repeat("metrics", lambda _: sampler.sample(), SAMPLE_SECONDS)
    background.repeat("counting", lambda _: instruments.meters.settle(), SETTLE_SECONDS)
    if Role.DECISION in application.roles:
        follow_reader(sampler, application.reader)
    else:
        follow_background(sampler, background)
    if application.gate is not None:
        gate = application.gate
        background.repeat("callers", lambda _: gate.refresh(), GATE_REFRESH_SECONDS)
        # For the issuer is waited: nobody's file of callers is to wait with them.
        background.repeat("token keys", lambda _: gate.refresh_keys(), GATE_REFRESH_SECONDS)
        background.repeat("limits", lambda _: gate.compare_limits(), GATE_REFRESH_SECONDS)
    else:
        # A gate does so itself.
        background.repeat(
            "refusals", lambda _: instruments.refusals.flush(), REFUSALS_FLUSH_SECONDS
        )
    if application.journal is not None:
        journal = application.journal
        follow_journal(sampler, journal)
        background.repeat("journal", journal.write, WRITE_SECONDS, journal.wake)
    if application.signer is not None:
        signer = application.signer
        background.repeat("receipt keys", lambda _: signer.refresh(), GATE_REFRESH_SECONDS)


def _start_for_writers(application: Application) -> None:
    background, projector = application.background, application.projector
    engine, catalogs = application.engine, application.catalogs
    instruments = application.instruments
    follow_projector(instruments.sampler, projector)
    if instruments.meters.observes:
        observer = Observer(instruments.meters, engine, application.cache)
        background.repeat("observing", observer.observe, OBSERVE_SECONDS)
    lapses = LapseWorker(engine, catalogs, projector.announce)
    background.repeat("projector", projector.run, 0.0, projector.wake)
    if not application.settings.bulk_processes:
        direct = DirectProjector(application.cache, projector.announce)
        bulk = BulkWorker(engine, catalogs, direct)
        background.repeat("bulk work", bulk.run, 0.0)
    background.repeat("lapses", lapses.run_pending, LAPSE_POLL_SECONDS)
    rewarmer = Rewarmer(engine, application.cache)
    background.repeat("warming", rewarmer.run_pending, WARMING_POLL_SECONDS)
    background.repeat(
        "erasures",
        lambda stop: application.eraser.complete_left(
            stop, application.settings.effective_wait_seconds
        ),
        ERASURE_POLL_SECONDS,
    )
    background.repeat(
        "leases",
        lambda _: application.effectuator.watch(),
        application.settings.lease_renewal_seconds,
    )


def _start_for_workers(application: Application) -> None:
    background, engine, settings = application.background, application.engine, application.settings
    if settings.reconciled_per_second:
        reconciler = _reconciler(application)
        follow_reconciler(application.instruments.sampler, reconciler)
        background.repeat("reconciler", reconciler.run, 0.0)
    if settings.outbox_days:
        pruner = OutboxPruner(engine, application.cache, settings.outbox_days * SECONDS_PER_DAY)
        background.repeat("outbox", pruner.run_pending, RETENTION_POLL_SECONDS)
    if settings.journal_days:
        days = JournalDays(engine, settings.journal_days)
        background.repeat("journal days", days.run_pending, RETENTION_POLL_SECONDS)


def _reconciler(application: Application) -> Reconciler:
    """Make a reconciler that has its repairs heeded at once wherever the cache is relied upon."""
    settings, effectuator = application.settings, application.effectuator
    return Reconciler(
        application.engine,
        application.cache,
        application.catalogs,
        application.projector.announce,
        lambda narrowing: effectuator.make_effective(
            narrowing, settings.effective_wait_seconds, has_own_thread=True
        ),
        customers_per_second=settings.reconciled_per_second,
    )
