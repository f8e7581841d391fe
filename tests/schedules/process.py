"""A decision process of a world: the parts that answer checks, and nothing that goes by itself.

What lives here: a lease that is renewed when the schedule says so, and checks that write down what
they were answered.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from decision.errors import OverloadedError, UnavailableError
from decision.instants import FOREVER
from decision.questions import ContactQuestion, ShareQuestion
from service.checking import Check, Checker
from service.control.server import ControlServer
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.publications import Catalogs
from store.reader import PermissionReader
from store.token import decode_token
from tests.faults.history import Answer, Asked, now
from tests.schedules.catalogs import CALL, name_of
from tests.schedules.ground import NOBODY_LISTENS

if TYPE_CHECKING:
    from tests.schedules.world import World


class Process:
    """A decision process."""

    def __init__(
        self, world: "World", stack: ExitStack, process_id: str, *, hears: bool, address: str
    ) -> None:
        """Begin without a lease.

        Writers reach it where it listens, if it `hears` them, unless its lease says another
        `address`.
        """
        self.process_id = process_id
        self.address = NOBODY_LISTENS
        self._world = world
        catalogs = Catalogs(world.engine)
        catalogs.refresh()
        keeper = GuardKeeper()
        reader = PermissionReader(world.engine, world.cache, catalogs, keeper)
        self._checker = Checker(reader, catalogs)
        if hears:
            server = ControlServer(keeper, catalogs, process_id, "127.0.0.1:0")
            self.address = stack.enter_context(server).address
        self._holder = LeaseHolder(
            world.engine,
            world.cache,
            keeper,
            process_id,
            address or self.address,
            world.lease_seconds,
        )
        self.refresh_catalogs = catalogs.refresh

    def renew(self) -> None:
        """Renew the lease."""
        self._holder.renew()

    def release(self) -> None:
        """Give the lease up."""
        self._holder.release()

    def check(
        self,
        customer_id: str,
        question: ContactQuestion | ShareQuestion = CALL,
        token_of: str = "",
    ) -> bool:
        """Ask, write down what comes, and tell whether all that was asked is allowed.

        The check may carry the token of a write.
        """
        token = decode_token(self._world.tokens[token_of]) if token_of else None
        code, answers = "", tuple[Answer, ...]()
        began_at = now()
        asked_about = self._world.true_now()
        try:
            decision = self._checker.decide(Check(customer_id, question, token=token))
        except (UnavailableError, OverloadedError) as error:
            code = type(error).__name__
        else:
            answers = tuple(
                Answer(
                    customer_id,
                    name_of(scope),
                    answer.verdict.name,
                    answer.reason.name,
                    0 if answer.not_after == FOREVER else answer.not_after,
                )
                for scope, answer in zip(question.scopes, decision.answers, strict=True)
            )
        self._world.history.append(
            Asked(
                self.process_id,
                type(question).__name__,
                began_at,
                now(),
                code,
                answers,
                asked_about,
                token_of,
            )
        )
        return bool(answers) and all(answer.verdict == "ALLOW" for answer in answers)
