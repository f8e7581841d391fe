"""Executors: the threads that serve calls, and how many calls each kind may have under way.

What lives here: which calls run in which pool, and the refusal of calls beyond a limit. Streams and
control calls can never take the threads of single checks.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from decision.errors import ErrorCode, MayweError, OverloadedError
from service.access.refusals import Refusal
from service.access.roles import UNIDENTIFIED
from service.admitting_executor import AdmittingExecutor
from service.errors import ShuttingDownError, abort
from service.guards import EXECUTOR_ATTRIBUTE, Watchers
from service.instruments import Instruments
from service.logs.failures import FailureLog
from service.logs.requests import serving
from service.metrics.labels import EXECUTORS, METHODS

# In quotes, because only the types of grpc know that it is generic.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

CHECK_THREADS: Final = 8
CHECKS_UNDER_WAY_MAX: Final = 64
"""More threads only contend for the interpreter; calls beyond them wait their turn, up to this. A
check that waits for PostgreSQL stands aside, so that those which Redis answers go on."""

WRITE_THREADS: Final = 12
WRITES_UNDER_WAY_MAX: Final = 1024
"""A write waits for locks, and perhaps for its effect; nothing else should wait behind it. Threads
are fewer than connections (`store.database`) and twice as many as may wait long for their effect
(`service.effectuation`). Many may queue, for to be refused is the worse answer to a revocation."""

CONTROL_THREADS: Final = 16
CONTROL_CALLS_UNDER_WAY_MAX: Final = 128

# What holds its thread for as long as it lasts may not wait for one: threads and limit are equal.
BULK_STREAMS_MAX: Final = 16
IMPORTS_MAX: Final = 4
WATCHES_MAX: Final = 64

HOUSEKEEPING_THREADS: Final = 4
HOUSEKEEPING_CALLS_UNDER_WAY_MAX: Final = 64

REFUSAL_THREADS: Final = 2

_WRITES: Final = (
    "RecordPurchase",
    "CloseProduct",
    "RecordConsent",
    "Revoke",
    "Restrict",
    "LiftRestriction",
    "RecordAcquisition",
    "VoidEvent",
    "MergeCustomers",
    "SplitCustomer",
    "EraseCustomer",
)
"""The calls of WriterService that record one event."""

_HEALTH: Final = ("Check", "Watch", "List")


@dataclass(frozen=True, slots=True)
class Executors:
    """The pools of one server, and the one of each call that is not `control`."""

    control: AdmittingExecutor
    housekeeping: AdmittingExecutor
    by_method: Mapping[str, AdmittingExecutor]
    refusal: ThreadPoolExecutor

    def of(self, method: str) -> AdmittingExecutor:
        """Give the pool in which a call of our services runs."""
        return self.by_method.get(method, self.control)


@contextmanager
def open_executors() -> Iterator[Executors]:
    """Make the pools; at the end wait until what they have under way has ended."""
    with ExitStack() as stack:

        def pool(name: str, threads: int, limit: int) -> AdmittingExecutor:
            return stack.enter_context(AdmittingExecutor(name, threads, limit))

        writes = pool("writes", WRITE_THREADS, WRITES_UNDER_WAY_MAX)
        checks = pool("checks", CHECK_THREADS, CHECKS_UNDER_WAY_MAX)
        bulk = pool("bulk", BULK_STREAMS_MAX, BULK_STREAMS_MAX)
        imports = pool("imports", IMPORTS_MAX, IMPORTS_MAX)
        watches = pool("watches", WATCHES_MAX, WATCHES_MAX)
        housekeeping = pool("housekeeping", HOUSEKEEPING_THREADS, HOUSEKEEPING_CALLS_UNDER_WAY_MAX)
        yield Executors(
            control=pool("control", CONTROL_THREADS, CONTROL_CALLS_UNDER_WAY_MAX),
            housekeeping=housekeeping,
            by_method={
                **{f"/grpc.health.v1.Health/{name}": housekeeping for name in _HEALTH},
                "/maywe.v1.DecisionService/MayContact": checks,
                "/maywe.v1.DecisionService/MayShare": checks,
                "/maywe.v1.DecisionService/BatchCheck": bulk,
                "/maywe.v1.DecisionService/FilterAudience": bulk,
                "/maywe.v1.DecisionService/ListAllowed": bulk,
                **{f"/maywe.v1.WriterService/{name}": writes for name in _WRITES},
                "/maywe.v1.WriterService/ImportEvents": imports,
                "/maywe.v1.ConsentService/WatchChanges": watches,
                # A generic client may keep it open for as long as it runs.
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": watches,
            },
            refusal=stack.enter_context(
                ThreadPoolExecutor(REFUSAL_THREADS, thread_name_prefix="maywe refusal")
            ),
        )


def watchers_of(method: str, instruments: Instruments) -> Watchers:
    """Give who sees what becomes of the calls of a method, by its full name."""
    return Watchers(
        instruments.meters.of_method(method),
        FailureLog(method, instruments.refusals, instruments.meters),
        instruments.tracer,
    )


def under_way_of(executor: AdmittingExecutor) -> Callable[[], float]:
    """Give what tells how many calls a pool has."""
    return lambda: float(executor.under_way)


class Admission(grpc.ServerInterceptor):
    """Refuses a call, before a thread is taken, when its executor is full or the server stops.

    Health is asked until the end, and has the executor of housekeeping.

    grpc asks the interceptor in the one thread that hands calls to executors, so nothing comes
    between the look at the limit and the counting.
    """

    def __init__(
        self,
        executors: Executors,
        methods: frozenset[str],
        stopping: threading.Event,
        instruments: Instruments,
    ) -> None:
        """Guard `methods`, which are full names; any other call passes."""
        self._executor_by_method = {method: executors.of(method) for method in methods}
        self._housekeeping = executors.housekeeping
        self._stopping = stopping
        self._refusals: dict[str, _Handler] = {}
        self._farewells: dict[str, _Handler] = {}
        for method, executor in self._executor_by_method.items():
            noted = _Noted(method, executor.name, instruments)
            self._refusals[method] = _refusal(_overloaded(executor), executors.refusal, noted)
            self._farewells[method] = _refusal(ShuttingDownError, executors.refusal, noted)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - handlers of any messages
        """Give the handler of a call, or one that refuses it."""
        method = handler_call_details.method
        executor = self._executor_by_method.get(method)
        if executor is not None:
            if self._stopping.is_set() and executor is not self._housekeeping:
                return self._farewells[method]
            if executor.is_full:
                return self._refusals[method]
        return continuation(handler_call_details)


def _overloaded(executor: AdmittingExecutor) -> Callable[[], OverloadedError]:
    return lambda: OverloadedError(
        f"{executor.limit} calls of this kind ({executor.name}) are under way, which is the most",
        details={"executor": executor.name, "limit": str(executor.limit)},
    )


class _Noted:
    """Counts and logs the calls of a method that are refused before anybody is asked who calls."""

    def __init__(self, method: str, executor: str, instruments: Instruments) -> None:
        self._method = method
        self._executor = executor
        self._meters = instruments.meters
        # Of calls to health only those that are shed are counted, by their executor.
        self._meter = instruments.meters.of_method(method) if method in METHODS else None
        self._refusals = instruments.refusals

    def note(self, code: ErrorCode) -> None:
        if self._meter is not None:
            self._meter.shed(code)
        if code is ErrorCode.OVERLOADED and self._executor in EXECUTORS:
            self._meters.count("maywe_shed_calls_total", self._executor)
        self._refusals.add(Refusal("", UNIDENTIFIED, self._method, code.name))


def _refusal(
    make_error: Callable[[], MayweError], executor: ThreadPoolExecutor, noted: _Noted
) -> _Handler:
    """Give a handler that refuses at once.

    It takes a stream whatever the call takes, so that its thread does not wait for a request.
    """

    def refuse(_: object, context: grpc.ServicerContext) -> object:
        with serving(context):
            error = make_error()
            noted.note(error.code)
            abort(context, error)

    setattr(refuse, EXECUTOR_ATTRIBUTE, executor)
    return grpc.stream_unary_rpc_method_handler(refuse)
