"""Guards: what stands between gRPC and every call of every servicer.

What lives here: the wrapping of a service's method handlers. A guarded call turns exceptions into
statuses, waits for its request only after it is known who calls, refuses requests that are no
messages, and runs in the executor that it is given. Servicers raise; they never abort.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import grpc
from google.protobuf.message import Message

from decision.errors import FieldFault, InvalidArgumentError, MayweError, NotPermittedError
from service.access.gate import REFUSALS, Gate, note_caller
from service.access.table import IN_FULL, TABLE, Open, Rules
from service.admitting_executor import AdmittingExecutor
from service.awaiting import RequestWaits, WhenLate
from service.errors import abort
from service.logs.failures import FailureLog
from service.logs.requests import serving
from service.metrics.meters import CallMeter
from service.request_reading import request_reader
from service.tracing import Tracer
from store.deadlines import deadline_in

_Behaviour = Callable[[Any, grpc.ServicerContext], Any]
_Take = Callable[[Iterator[bytes], grpc.ServicerContext, WhenLate | None], Any]
"""Gives what a behaviour takes, one request or an iterator of them, from the bytes of a call."""

# In quotes, because only the types of grpc know that it is generic.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

EXECUTOR_ATTRIBUTE: Final = "experimental_thread_pool"
"""The attribute of a behaviour from which grpc takes the pool to run it in."""

STREAM_LOOK_SECONDS: Final = 5.0
"""How often whoever has a stream is identified anew, where messages are sent as often."""


SINGLE_CHECKS: Final = frozenset(
    {"/maywe.v1.DecisionService/MayContact", "/maywe.v1.DecisionService/MayShare"}
)
"""Their reads are shared with others' and have a limit of their own (`store.shared_reads`)."""


class HandlerRecorder:
    """Takes the method handlers that generated code would add to a server."""

    def __init__(self) -> None:
        """Begin without any."""
        self.handlers: dict[str, Mapping[str, _Handler]] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Leave these: the registered ones are the same, and looked up faster."""

    def add_registered_method_handlers(
        self, service_name: str, handlers: Mapping[str, _Handler]
    ) -> None:
        """Keep the handlers of a service by method."""
        self.handlers[service_name] = handlers


class Watchers(NamedTuple):
    """Who sees what becomes of the calls of a method: counted, logged, and traced if wanted."""

    meter: CallMeter
    failures: FailureLog
    tracer: Tracer | None = None


def guarded_handler(
    handler: _Handler,
    request_class: type[Message],
    executor: AdmittingExecutor,
    method: str,
    gate: Gate | None,
    watchers: Watchers,
    waits: RequestWaits,
) -> _Handler:
    """Give a handler that guards another, and runs in `executor`.

    `method` is its full name; `watchers` see what becomes of its calls. Who calls has to pass the
    `gate`, where there is one; a method of which nobody has said who may call it is refused in any
    case.

    To gRPC it takes a stream of bytes in any case: so a call is under way before its request is
    there, and it is for us to say how long that may take.
    """
    shape = (bool(handler.request_streaming), bool(handler.response_streaming))
    behaviour: _Behaviour = getattr(handler, _NAMES_BY_SHAPE[shape])
    if method not in SINGLE_CHECKS:
        make_hastened = _hastened_stream if handler.response_streaming else _hastened_unary
        behaviour = make_hastened(behaviour)
    read = request_reader(request_class, method)
    take = _taking_all(read) if handler.request_streaming else _taking_one(read, waits, executor)
    rules = TABLE.get(method)
    if rules is None:
        behaviour = _refused
    elif gate is not None:
        if any(shape):
            _refuse_parts(method, rules)
        make_gated = _gated_stream if handler.response_streaming else _gated_unary
        behaviour = make_gated(behaviour, take, method, gate)
    else:
        make_open = _open_stream if handler.response_streaming else _open_unary
        behaviour = make_open(behaviour, take)
    guard = _guarded_stream if handler.response_streaming else _guarded_unary
    if watchers.tracer is not None:
        make_traced = _traced_stream if handler.response_streaming else _traced_unary
        behaviour = make_traced(behaviour, method, watchers.tracer)
    guarded = guard(behaviour, watchers.meter, watchers.failures)
    setattr(guarded, EXECUTOR_ATTRIBUTE, executor)
    return _taking_bytes(handler, guarded)


def awaited_handler(
    handler: _Handler,
    request_class: type[Message],
    method: str,
    waits: RequestWaits,
    executor: AdmittingExecutor | None = None,
) -> _Handler:
    """Give a handler that anybody may call, whose request is waited for as those of others are.

    `executor` is the one that gRPC runs it in, if it is one of ours.
    """
    shape = (bool(handler.request_streaming), bool(handler.response_streaming))
    behaviour: Callable[..., Any] = getattr(handler, _NAMES_BY_SHAPE[shape])
    take = _taking_one(request_reader(request_class, method), waits, executor)

    def awaited(requests: Any, context: grpc.ServicerContext, *more: Any) -> Any:  # noqa: ANN401 - any messages
        try:
            request = take(requests, context, None)
        except InvalidArgumentError as error:
            abort(context, error)
        return behaviour(request, context, *more)

    for name in _ATTRIBUTES:
        if hasattr(behaviour, name):
            setattr(awaited, name, getattr(behaviour, name))
    return _taking_bytes(handler, awaited)


_ATTRIBUTES: Final = (EXECUTOR_ATTRIBUTE, "experimental_non_blocking")
"""What gRPC looks for at a behaviour."""


def _taking_bytes(handler: _Handler, behaviour: Callable[..., Any]) -> _Handler:
    """Give a handler like another, which takes a stream of bytes, whatever the call takes."""
    make = getattr(
        grpc, f"{_NAMES_BY_SHAPE[True, bool(handler.response_streaming)]}_rpc_method_handler"
    )
    made: _Handler = make(behaviour, response_serializer=handler.response_serializer)
    return made


_NAMES_BY_SHAPE: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
"""How grpc calls a handler, by whether it takes and whether it gives a stream."""


def _taking_one(
    read: Callable[[bytes], Message], waits: RequestWaits, pool: AdmittingExecutor | None
) -> _Take:
    def take(
        requests: Iterator[bytes], context: grpc.ServicerContext, when_late: WhenLate | None
    ) -> Message:
        data = waits.first(requests, context, pool, when_late)
        if data is None:
            raise InvalidArgumentError(FieldFault("request", "is missing: send one message"))
        return read(data)

    return take


def _taking_all(read: Callable[[bytes], Message]) -> _Take:
    def take(
        requests: Iterator[bytes], _context: grpc.ServicerContext, _when_late: WhenLate | None
    ) -> Iterator[Message]:
        return map(read, requests)

    return take


def _open_unary(behaviour: _Behaviour, take: _Take) -> _Behaviour:
    def opened(requests: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        return behaviour(take(requests, context, None), context)

    return opened


def _open_stream(behaviour: _Behaviour, take: _Take) -> _Behaviour:
    def opened(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        yield from behaviour(take(requests, context, None), context)

    return opened


def _guarded_unary(behaviour: _Behaviour, meter: CallMeter, failures: FailureLog) -> _Behaviour:
    def guarded(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        if not context.is_active():
            # Cancelled, or past its deadline, while it waited for a thread: nobody listens.
            meter.gone()
            context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")
        try:
            response = behaviour(request, context)
        except grpc.RpcError:
            # The stream of requests broke because the caller has gone; grpc knows its exception.
            meter.gone()
            raise
        except Exception as error:  # noqa: BLE001 - every exception becomes a status here
            meter.failed(error)
            with serving(context):
                failures.add(error)
                abort(context, error)
        meter.answered(response)
        return response

    return guarded


def _guarded_stream(behaviour: _Behaviour, meter: CallMeter, failures: FailureLog) -> _Behaviour:
    def guarded(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        with meter.stream() as stream:
            try:
                yield from behaviour(request, context)
            except grpc.RpcError:
                raise
            except Exception as error:  # noqa: BLE001 - every exception becomes a status here
                stream.failed(error)
                with serving(context):
                    failures.add(error)
                    abort(context, error)
            stream.answered()

    return guarded


def _hastened_unary(behaviour: _Behaviour) -> _Behaviour:
    def hastened(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        with deadline_in(context.time_remaining()), serving(context):
            return behaviour(request, context)

    return hastened


def _hastened_stream(behaviour: _Behaviour) -> _Behaviour:
    def hastened(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        with deadline_in(context.time_remaining()), serving(context):
            yield from behaviour(request, context)

    return hastened


def _traced_unary(behaviour: _Behaviour, method: str, tracer: Tracer) -> _Behaviour:
    def traced(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        with tracer.call(method, context):
            return behaviour(request, context)

    return traced


def _traced_stream(behaviour: _Behaviour, method: str, tracer: Tracer) -> _Behaviour:
    def traced(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        with tracer.stream(method, context):
            yield from behaviour(request, context)

    return traced


def _refuse_parts(method: str, rules: Rules | Open) -> None:
    """Raise ValueError when a role may make the calls of a stream in part: nothing checks those."""
    if not isinstance(rules, Open) and any(rule is not IN_FULL for rule in rules.values()):
        message = f"{method} is a stream, which a role may have in full or not at all"
        raise ValueError(message)


def _refused(_request: object, _context: grpc.ServicerContext) -> NoReturn:
    message = "nobody may call this"
    raise NotPermittedError(message)


def _gated_unary(behaviour: _Behaviour, take: _Take, method: str, gate: Gate) -> _Behaviour:
    def gated(requests: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        caller, rule = gate.enter(method, context)
        request = take(requests, context, lambda: gate.charge_for_lateness(caller))
        note_caller(caller.name, rule.reduce)
        if rule is not IN_FULL:
            with serving(context):
                gate.check(method, caller, rule, request)
        try:
            response = behaviour(request, context)
        except MayweError as error:
            if error.code in REFUSALS:
                with serving(context):
                    gate.log_refusal(method, caller, error)
            raise
        return response if rule.reduce is None else rule.reduce(response)

    return gated


def _gated_stream(behaviour: _Behaviour, take: _Take, method: str, gate: Gate) -> _Behaviour:
    def gated(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        caller, _ = gate.enter(method, context)
        with serving(context):
            close_stream = gate.open_stream(method, caller)
        try:
            note_caller(caller.name)
            looked_at = time.monotonic()
            for response in behaviour(take(requests, context, None), context):
                if time.monotonic() - looked_at >= STREAM_LOOK_SECONDS:
                    # A token ends, a caller loses a role; a stream may go on for ever.
                    gate.look_again(method, context)
                    looked_at = time.monotonic()
                yield response
        finally:
            close_stream()

    return gated
