"""The gate: every call is identified, allowed and counted here before it does anything.

What lives here: the order of these, and the log of what was refused. It runs in the thread of the
call, because only there gRPC tells about the connection; for a caller seen before it takes a few
microseconds.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc

from decision.errors import (
    ErrorCode,
    InvalidArgumentError,
    MayweError,
    NotPermittedError,
    UnidentifiedError,
)
from service.access.callers_file import CallersFileError, read_callers
from service.access.certificates import Certificates
from service.access.keys import KeySet
from service.access.limits import Limiter, OfOthers
from service.access.own import IsOnePerson
from service.access.refusals import Refusal, RefusalLog
from service.access.roles import UNIDENTIFIED, Caller, CallerLimits, Callers
from service.access.strangers import Strangers, host_of
from service.access.table import IN_FULL, TABLE, Open, Rule
from service.access.tokens import TokenRules, Tokens
from service.access.watched_file import WatchedFile
from service.logs.requests import serving

AUTHORIZATION: Final = "authorization"

REFUSALS: Final = frozenset({ErrorCode.NOT_HANDED_IN, ErrorCode.NOT_PERMITTED})
"""What a servicer says when it refuses a call because of who makes it."""

LATE_REQUEST_COSTS_SECONDS: Final = 0.5
"""A call whose request comes late, or never, costs its caller the calls of so long: a few callers
who send headers alone could else keep the threads of everybody."""

_logger = logging.getLogger(__name__)


class GateSettings(NamedTuple):
    """By what callers are known; `callers_file` and `token_keys` are empty where not used."""

    has_certificates: bool
    callers_file: str
    token_keys: str
    token_rules: TokenRules
    limits: CallerLimits


class Gate:
    """Lets calls in. Safe to be used by several threads; `refresh` MUST be called all the time.

    So MUST `refresh_keys`, in a thread of its own, and `compare_limits` where there are other
    processes.
    """

    def __init__(
        self,
        settings: GateSettings,
        is_one_person: IsOnePerson,
        of_others: OfOthers | None = None,
        refusals: RefusalLog | None = None,
    ) -> None:
        """Read whom to let in; `of_others` tells what callers ask of other processes.

        What is refused goes to the log `refusals`, if given, which others may use as well.

        Raises CallersFileError, KeySetError and OSError.
        """
        self._callers_file = (
            WatchedFile(
                Path(settings.callers_file),
                read_callers,
                (CallersFileError, OSError),
                "the callers known before stay",
            )
            if settings.callers_file
            else None
        )
        self._callers: Callers = (
            self._callers_file.content() if self._callers_file is not None else {}
        )
        self._keys = (
            KeySet(settings.token_keys, settings.token_rules.algorithms)
            if settings.token_keys
            else None
        )
        self._tokens = (
            Tokens(settings.token_rules, self._keys, lambda: self._callers)
            if self._keys is not None
            else None
        )
        self._certificates = (
            Certificates(lambda: self._callers) if settings.has_certificates else None
        )
        self._limiter = Limiter(settings.limits, of_others=of_others)
        self._is_one_person = is_one_person
        self._strangers = Strangers()
        self._refusals = refusals if refusals is not None else RefusalLog()

    def refresh(self) -> None:
        """Take over callers that have changed; a faulty file leaves those before.

        What was refused since is logged.
        """
        self._refusals.flush()
        callers = self._callers_file.new_content() if self._callers_file is not None else None
        if callers is not None:
            self._callers = callers
            _logger.info("the file of callers has changed, %d are known now", len(callers))

    def refresh_keys(self) -> None:
        """Take over the issuer's keys that have changed, for which somebody else is waited for."""
        if self._keys is not None:
            self._keys.refresh()

    def compare_limits(self) -> None:
        """Leave to callers what is left of their limits beside what they ask of other processes."""
        self._limiter.compare()

    def enter(self, method: str, context: grpc.ServicerContext) -> tuple[Caller, Rule]:
        """Identify the caller of a method, and give how they may call it; their call is counted.

        Raises UnidentifiedError, NotPermittedError and OverloadedError, all of them logged.
        """
        caller: Caller | None = None
        try:
            caller = self._identify(context)
            # Also a call that is refused below: refusing takes its time too.
            self._limiter.take_call(caller)
            return caller, _pass_of(method, caller)
        except MayweError as error:
            with serving(context):
                self.log_refusal(method, caller, error, context)
            raise

    def charge_for_lateness(self, caller: Caller) -> None:
        """Count a call whose request does not come as many: a thread and a place wait for it."""
        self._limiter.charge(caller, LATE_REQUEST_COSTS_SECONDS)

    def look_again(self, method: str, context: grpc.ServicerContext) -> None:
        """Refuse to go on with a stream that its caller may no longer have; raises as `enter`."""
        caller: Caller | None = None
        try:
            caller = self._identify(context)
            _pass_of(method, caller)
        except MayweError as error:
            with serving(context):
                self.log_refusal(method, caller, error, context)
            raise

    def check(self, method: str, caller: Caller, rule: Rule, request: Any) -> None:  # noqa: ANN401 - any message
        """Check what is asked about. Raises NotPermittedError, logged, and InvalidArgumentError."""
        if rule.check is None:
            return
        try:
            rule.check(request, caller, self._is_one_person)
        except (NotPermittedError, InvalidArgumentError) as error:
            self.log_refusal(method, caller, error)
            raise

    def open_stream(self, method: str, caller: Caller) -> Callable[[], None]:
        """Count a stream, and give what ends it. Raises OverloadedError, logged."""
        try:
            return self._limiter.open_stream(caller)
        except MayweError as error:
            self.log_refusal(method, caller, error)
            raise

    def log_refusal(
        self,
        method: str,
        caller: Caller | None,
        error: MayweError,
        context: grpc.ServicerContext | None = None,
    ) -> None:
        """Log a refused call; every text here is our own and names nobody's customer."""
        if caller is not None:
            self._refusals.add(Refusal(caller.key, caller.name, method, str(error)))
        else:
            # Hosts are told apart, and not named: an address is a person's as well.
            key = "" if context is None else host_of(context.peer())
            self._refusals.add(Refusal(key, UNIDENTIFIED, method, str(error)))

    def _identify(self, context: grpc.ServicerContext) -> Caller:
        for name, value in context.invocation_metadata():
            if name == AUTHORIZATION:
                if self._tokens is None or not isinstance(value, str):
                    message = "tokens are not accepted here"
                    raise UnidentifiedError(message)
                # A token says who asks even where the connection has a certificate.
                return self._tokens.known(value) or self._verify(self._tokens, value, context)
        if self._certificates is None:
            message = "there is no token"
            raise UnidentifiedError(message)
        return self._certificates.caller_of(context)

    def _verify(self, tokens: Tokens, header: str, context: grpc.ServicerContext) -> Caller:
        peer = context.peer()
        self._strangers.refuse_if_too_many(peer)
        try:
            return tokens.verify(header)
        except UnidentifiedError:
            self._strangers.count(peer)
            raise


def _pass_of(method: str, caller: Caller) -> Rule:
    """Give how a caller may call a method, kept with the caller. Raises NotPermittedError."""
    rule = caller.passes.get(method)
    if rule is None:
        rule = caller.passes[method] = _rule_of(method, caller)
    if not isinstance(rule, Rule):
        message = "no role of the caller allows this call"
        raise NotPermittedError(message)
    return rule


def _rule_of(method: str, caller: Caller) -> Rule | bool:
    """Give how a caller may call a method, in full if any of the roles says so; else False."""
    rules = TABLE.get(method)
    if rules is None:
        return False
    if isinstance(rules, Open):
        return IN_FULL
    found = [rules[kind] for kind in caller.kinds if kind in rules]
    if any(rule.check is None for rule in found):
        return IN_FULL
    # Of any method, one kind of role at most is held to its own.
    return found[0] if found else False


class _OfThread(threading.local):
    name: str = ""
    reduce: Callable[[Any], Any] | None = None


_of_thread: Final = _OfThread()


def note_caller(name: str, reduce: Callable[[Any], Any] | None = None) -> None:
    """Keep who makes the call that this thread begins to serve, and to what answers are cut."""
    _of_thread.name = name
    _of_thread.reduce = reduce


def as_told(response: Any) -> Any:  # noqa: ANN401 - any message
    """Give an answer as the caller is told it whose call this thread serves."""
    reduce = _of_thread.reduce
    return response if reduce is None else reduce(response)


def calling() -> str:
    """Give the name of the caller whose call this thread serves; empty if not identified.

    MUST be asked in the thread of the call, before it gives a first answer of a stream.
    """
    return _of_thread.name
