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
from dataclasses import replace
from typing import Final

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
from service.application import Application, Role
from service.background import Background
from service.control.server import ControlServer
from service.duties import start_duties
from service.effectuation import Effectuator
from service.erasing import Eraser
from service.instruments import Instruments
from service.journalling import Journal, JournalMode
from service.metrics.meters import Meters
from service.metrics.watching import (
    LeaseGauges,
    follow_background,
)
from service.processes import ChildProgram, child_processes
from service.receipts.signing import receipt_signer_of
from service.settings import Settings, child_settings
from service.stores import Addresses, Stores, guarded_engine, open_stores
from service.tracing import TracingSettings, open_tracer
from store.cache import Cache
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.projector import Projector
from store.reader import PermissionReader, ReadLimits
from store.recording import Recorder
from store.shared_reads import CHECK_READ_SECONDS_MAX

LEASE_CONNECTIONS: Final = 2
"""Connections that only leases are renewed or looked at with, so that nothing holds them up."""

LEASES_WAITED_MIN: Final = 1.25
"""How many lengths of a lease a write should be able to wait for one to end."""

BULK_STOP_SECONDS_MAX: Final = 10.0
"""How long a process that does bulk work may take to finish the piece it is at."""

_logger = logging.getLogger(__name__)


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
            _journal(settings, roles, stores),
            receipt_signer_of(settings) if Role.DECISION in roles else None,
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
        if application.journal is not None:
            # After the last answer, and after whoever writes while there are answers.
            stack.callback(application.journal.close)
        stack.callback(background.stop_and_join)
        start_duties(application)
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


def _journal(settings: Settings, roles: frozenset[Role], stores: Stores) -> Journal | None:
    mode = JournalMode(settings.journal)
    if mode is JournalMode.OFF or Role.DECISION not in roles:
        return None
    return Journal(stores.engine, mode, settings.journal_share)


def _bulk_programs(settings: Settings, addresses: Addresses) -> list[ChildProgram]:
    """Give the processes that do bulk work on the stores that are open, whoever started them."""
    settings = replace(settings, postgres_url=addresses.postgres_url, redis_url=addresses.redis_url)
    child = child_settings(settings, os.environ)
    return [
        ChildProgram(
            f"bulk worker {number}", ["-m", "service.bulk"], child.environment, child.secrets
        )
        for number in range(1, settings.bulk_processes + 1)
    ]


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
