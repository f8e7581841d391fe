"""Guards: what stands between gRPC and every call of every servicer.

What lives here: the wrapping of a service's method handlers. A guarded call turns exceptions into
statuses, refuses requests that are no messages, and runs in the executor that it is given.
Servicers raise; they never abort.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from decision.errors import MayweError, NotPermittedError
from service.access.gate import REFUSALS, Gate, note_caller
from service.access.table import IN_FULL, TABLE, Open, Rules
from service.errors import abort
from service.logs.failures import FailureLog
from service.logs.requests import serving
from service.metrics.meters import CallMeter
from service.tracing import Tracer
from service.unreadable import Unreadable
from store.deadlines import deadline_in

_Behaviour = Callable[[Any, grpc.ServicerContext], Any]
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
    executor: ThreadPoolExecutor,
    method: str,
    gate: Gate | None,
    watchers: Watchers,
) -> _Handler:
    """Give a handler that guards another, and runs in `executor`.

    `method` is its full name; `watchers` see what becomes of its calls. Who calls has to pass the
    `gate`, where there is one; a method of which nobody has said who may call it is refused in any
    case.
    """
    shape = (bool(handler.request_streaming), bool(handler.response_streaming))
    name = _NAMES_BY_SHAPE[shape]
    behaviour: _Behaviour = getattr(handler, name)
    if method not in SINGLE_CHECKS:
        make_hastened = _hastened_stream if handler.response_streaming else _hastened_unary
        behaviour = make_hastened(behaviour)
    if handler.request_streaming:
        behaviour = _with_readable_requests(behaviour)
    else:
        behaviour = _with_readable_request(behaviour)
    rules = TABLE.get(method)
    if rules is None:
        behaviour = _refused
    elif gate is not None:
        if any(shape):
            _refuse_parts(method, rules)
        make_gated = _gated_stream if handler.response_streaming else _gated_unary
        behaviour = make_gated(behaviour, method, gate)
    guard = _guarded_stream if handler.response_streaming else _guarded_unary
    if watchers.tracer is not None:
        make_traced = _traced_stream if handler.response_streaming else _traced_unary
        behaviour = make_traced(behaviour, method, watchers.tracer)
    guarded = guard(behaviour, watchers.meter, watchers.failures)
    setattr(guarded, EXECUTOR_ATTRIBUTE, executor)
    make = getattr(grpc, f"{name}_rpc_method_handler")
    made: _Handler = make(
        guarded,
        request_deserializer=_never_failing(request_class),
        response_serializer=handler.response_serializer,
    )
    return made


_NAMES_BY_SHAPE: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
"""How grpc calls a handler, by whether it takes and whether it gives a stream."""


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


def _gated_unary(behaviour: _Behaviour, method: str, gate: Gate) -> _Behaviour:
    def gated(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        caller, rule = gate.enter(method, context)
        note_caller(caller.name, rule.reduce)
        if rule is not IN_FULL:
            with serving(context):
                gate.check(method, caller, rule, _readable(request))
        try:
            response = behaviour(request, context)
        except MayweError as error:
            if error.code in REFUSALS:
                with serving(context):
                    gate.log_refusal(method, caller, error)
            raise
        return response if rule.reduce is None else rule.reduce(response)

    return gated


def _gated_stream(behaviour: _Behaviour, method: str, gate: Gate) -> _Behaviour:
    def gated(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401 - any messages
        caller, _ = gate.enter(method, context)
        with serving(context):
            close_stream = gate.open_stream(method, caller)
        try:
            note_caller(caller.name)
            looked_at = time.monotonic()
            for response in behaviour(request, context):
                if time.monotonic() - looked_at >= STREAM_LOOK_SECONDS:
                    # A token ends, a caller loses a role; a stream may go on for ever.
                    gate.look_again(method, context)
                    looked_at = time.monotonic()
                yield response
        finally:
            close_stream()

    return gated


def _never_failing(request_class: type[Message]) -> Callable[[bytes], Message | Unreadable]:
    """Read requests without failing: grpc would say INTERNAL, and not a word on what is wrong."""

    def read(data: bytes) -> Message | Unreadable:
        try:
            return request_class.FromString(data)
        except DecodeError:
            return Unreadable(request_class, data)

    return read


def _with_readable_request(behaviour: _Behaviour) -> _Behaviour:
    def checked(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        return behaviour(_readable(request), context)

    return checked


def _with_readable_requests(behaviour: _Behaviour) -> _Behaviour:
    def checked(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any messages
        return behaviour(map(_readable, requests), context)

    return checked


def _readable(request: object) -> object:
    if isinstance(request, Unreadable):
        raise request.error()
    return request
