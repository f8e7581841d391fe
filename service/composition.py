"""The composition root: every part of a process is made and joined here, and only here.

What lives here: joining the parts of `store` on PostgreSQL and Redis, which `stores` opens. Who
opens closes: whatever a failed start had opened is closed again.
"""

import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from sqlalchemy import Engine

from decision.errors import UnavailableError
from service.access.exposure import (
    check_control_exposure,
    check_server_exposure,
    control_files_of,
    gate_settings_of,
    is_loopback,
)
from service.access.gate import Gate
from service.access.own import one_person_by_ledger
from service.admitting_executor import standing_aside
from service.background import Background
from service.bulk import BulkWorker
from service.control.server import ControlServer
from service.effectuation import Effectuator
from service.erasing import Eraser
from service.instruments import Instruments
from service.metrics.meters import Meters
from service.metrics.observing import OBSERVE_SECONDS, Observer
from service.metrics.sampling import SAMPLE_SECONDS, SETTLE_SECONDS
from service.metrics.watching import (
    LeaseGauges,
    follow_background,
    follow_projector,
    follow_reader,
    follow_reconciler,
)
from service.processes import ChildProgram, child_processes
from service.settings import Settings, environment_of
from service.stores import Addresses, Stores, guarded_engine, open_stores
from service.tracing import TracingSettings, open_tracer
from store.cache import Cache
from store.direct import DirectProjector
from store.guard import GuardKeeper
from store.lapses import LapseWorker
from store.leases import LeaseHolder
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader, ReadLimits
from store.reconciling import Reconciler
from store.recording import Recorder
from store.rewarming import Rewarmer
from store.shared_reads import CHECK_READ_SECONDS_MAX

CATALOG_REFRESH_SECONDS: Final = 0.5
"""How often a process looks for a newer catalog when nothing else tells it of one."""

LEASE_CONNECTIONS: Final = 2
"""Connections that only leases are renewed or looked at with, so that nothing holds them up."""

LEASES_WAITED_MIN: Final = 1.25
"""How many lengths of a lease a write should be able to wait for one to end."""

FLUSH_SECONDS: Final = 0.5
"""How often it is looked whether there were more refusals of those kinds that were logged."""

GATE_REFRESH_SECONDS: Final = 0.5
"""How often it is looked whether callers or the keys of tokens have changed."""

BULK_STOP_SECONDS_MAX: Final = 10.0
"""How long a process that does bulk work may take to finish the piece it is at."""

WARMING_POLL_SECONDS: Final = 1.0
"""How often a writer looks for shards that Redis has lost."""

ERASURE_POLL_SECONDS: Final = 1.0
"""How often a writer looks for erasures that somebody began and did not complete."""

LAPSE_POLL_SECONDS: Final = 1.0
"""How often a writer looks for terms that have begun or lapsed."""

_logger = logging.getLogger(__name__)


class Role(Enum):
    """What a process does: answers questions, records, or does nothing but background work.

    Writers keep the cache in step, roll out and tell of lapses; workers do so too, and reconcile.
    """

    DECISION = "decision"
    WRITER = "writer"
    WORKER = "worker"


ALL_ROLES: Final = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Application:
    """The parts of one process. `stopping` is set when it begins to shut down: streams end then.

    Only a process that answers checks has a lease; any other's `keeper` never lets the cache count.
    """

    settings: Settings
    roles: frozenset[Role]
    stores: Stores
    projector: Projector
    recorder: Recorder
    effectuator: Effectuator
    keeper: GuardKeeper
    reader: PermissionReader
    eraser: Eraser
    background: Background
    stopping: threading.Event
    gate: Gate | None = None
    """Identifies callers and lets them in; None where everybody on this machine may do all."""
    instruments: Instruments = field(default_factory=Instruments)

    @property
    def engine(self) -> Engine:
        """The connections to PostgreSQL."""
        return self.stores.engine

    @property
    def catalogs(self) -> Catalogs:
        """The catalogs of this process."""
        return self.stores.catalogs

    @property
    def cache(self) -> Cache:
        """The cache in Redis."""
        return self.stores.cache


@contextmanager
def open_application(
    settings: Settings, roles: frozenset[Role], meters: Meters | None = None
) -> Iterator[Application]:
    """Open everything that a process of these roles needs, with its background work under way.

    It counts with `meters`, if given. Raises as `open_stores` does; besides ExposureError, and
    CallersFileError, KeySetError and TlsError when what callers are known by can not be used, and
    TracingError.
    """
    check_server_exposure(settings, settings.listen)
    if Role.DECISION in roles:
        check_control_exposure(settings)
    gate_settings = gate_settings_of(settings)
    with ExitStack() as stack:
        tracer = stack.enter_context(
            open_tracer(
                TracingSettings(settings.tracing_endpoint, settings.tracing_ratio),
                "-".join(sorted(role.value for role in roles)),
            )
        )
        instruments = Instruments(meters, tracer)
        # At the very end, when nothing is counted any more.
        stack.callback(instruments.sampler.sample)
        stack.callback(instruments.meters.settle)
        stores = stack.enter_context(open_stores(settings))
        gate = None
        if gate_settings is not None:
            of_others = None if stores.demand is None else stores.demand.of_others
            is_one_person = one_person_by_ledger(stores.engine)
            gate = Gate(gate_settings, is_one_person, of_others, instruments.refusals)
        projector = Projector(stores.engine, stores.cache)
        background = Background()
        keeper = GuardKeeper()
        lease_engine = stack.enter_context(
            guarded_engine(stores.addresses.postgres_url, LEASE_CONNECTIONS, CHECK_READ_SECONDS_MAX)
        )
        effectuator = Effectuator(
            lease_engine, settings.lease_seconds, control_files=control_files_of(settings)
        )
        stack.callback(effectuator.close)
        application = Application(
            settings,
            roles,
            stores,
            projector,
            Recorder(stores.engine, stores.catalogs, projector.announce, projector.hand_over),
            effectuator,
            keeper,
            PermissionReader(
                stores.check_engine,
                stores.check_cache,
                stores.catalogs,
                keeper,
                ReadLimits(
                    settings.postgres_reads_max,
                    settings.postgres_reads_waiting_max,
                    settings.lost_lease_grace_seconds,
                ),
                standing_aside if tracer is None else tracer.waiting(standing_aside),
                instruments.meters.lookups,
            ),
            Eraser(stores, projector, effectuator),
            background,
            threading.Event(),
            gate,
            instruments,
        )
        _warn_about_redis(stores.cache)
        if settings.effective_wait_seconds < settings.lease_seconds * LEASES_WAITED_MIN:
            _logger.warning(
                "writes wait %g s to become effective, which is not long enough for a lease of %g "
                "s to end: beside a server that died they are only durable",
                settings.effective_wait_seconds,
                settings.lease_seconds,
            )
        if Role.DECISION in roles:
            stack.enter_context(_lease(application))
        stack.callback(background.stop_and_join)
        _start_background(application)
        if roles & {Role.WRITER, Role.WORKER} and settings.bulk_processes:
            children = stack.enter_context(
                child_processes(_bulk_programs(settings, stores.addresses), BULK_STOP_SECONDS_MAX)
            )
            instruments.sampler.follow_count(
                "maywe_bulk_process_restarts_total", lambda: children.restarts
            )
        stack.callback(application.stopping.set)
        yield application


@contextmanager
def _lease(application: Application) -> Iterator[None]:
    """Hold a lease, taken before the first check comes, and released after the last."""
    settings, stores, keeper = application.settings, application.stores, application.keeper
    process_id = uuid.uuid4().hex
    # A thread and its waits of its own, so that nothing else holds up a renewal.
    renewing = Background()
    with (
        guarded_engine(
            stores.addresses.postgres_url, LEASE_CONNECTIONS, CHECK_READ_SECONDS_MAX
        ) as engine,
        ControlServer(
            keeper,
            stores.catalogs,
            process_id,
            settings.control_listen,
            control_files_of(settings),
        ) as control,
    ):
        address = settings.control_address or control.address
        _logger.info("writers tell this process of narrowings at %s", address)
        if not is_loopback(settings.listen) and is_loopback(address):
            _logger.warning(
                "clients come from other hosts, but writers there cannot reach %s, and every "
                "narrowing write waits for this lease to end: give --control-listen and "
                "--control-address",
                address,
            )
        holder = LeaseHolder(
            engine,
            stores.check_cache,
            keeper,
            process_id,
            address,
            settings.lease_seconds,
        )
        gauges = LeaseGauges(application.instruments.meters, settings.lease_seconds)

        def renew() -> None:
            holder.renew()
            gauges.note(keeper.current())

        renew()
        renewing.repeat("lease", lambda _: renew(), settings.lease_renewal_seconds)
        follow_background(application.instruments.sampler, application.background, renewing)
        try:
            yield
        finally:
            renewing.stop_and_join()
            holder.release()


def _bulk_programs(settings: Settings, addresses: Addresses) -> list[ChildProgram]:
    """Give the processes that do bulk work on the stores that are open, whoever started them."""
    settings = replace(settings, postgres_url=addresses.postgres_url, redis_url=addresses.redis_url)
    environment = {**os.environ, **environment_of(settings)}
    return [
        ChildProgram(f"bulk worker {number}", ["-m", "service.bulk"], environment)
        for number in range(1, settings.bulk_processes + 1)
    ]


def _start_background(application: Application) -> None:
    background, projector = application.background, application.projector
    engine, catalogs = application.engine, application.catalogs
    instruments = application.instruments
    sampler = instruments.sampler
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
        background.repeat("limits", lambda _: gate.compare_limits(), GATE_REFRESH_SECONDS)
    else:
        # A gate does so itself.
        background.repeat("refusals", lambda _: instruments.refusals.flush(), FLUSH_SECONDS)
    if not application.roles & {Role.WRITER, Role.WORKER}:
        return
    follow_projector(sampler, projector)
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
    if Role.WORKER in application.roles and application.settings.reconciled_per_second:
        reconciler = _reconciler(application)
        follow_reconciler(sampler, reconciler)
        background.repeat("reconciler", reconciler.run, 0.0)


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


def _warn_about_redis(cache: Cache) -> None:
    try:
        evicting = cache.evicting_servers()
    except UnavailableError:
        _logger.warning("Redis does not answer: until it does, PostgreSQL answers checks")
        return
    for server, policy in evicting.items():
        _logger.warning(
            "Redis at %s drops records when its memory is full (%s), after which it may take "
            "customers for unknown: set maxmemory-policy to noeviction",
            server,
            policy,
        )
