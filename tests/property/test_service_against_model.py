"""The whole system behind gRPC against the naive model, driven at random.

Writers, catalog and decisions are driven in any order, and every answer is compared. The bulk of
seeded scenarios (`python -m tests.property.service_bulk`) does the same for as long as one likes.
"""

from contextlib import ExitStack
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.property.service_agreement import ServiceAgreement
from tests.property.service_questions import check_probe, explain_probe
from tests.property.strategies import continue_with, stateful_builder
from tests.running import fresh_maywe
from tests.servers import ServerUrls

pytestmark = [pytest.mark.property, pytest.mark.integration, pytest.mark.slow]

EXAMPLES_MAX: Final = 8
RULES_PER_EXAMPLE: Final = 40
STEPS_PER_RULE_MAX: Final = 4
BATCH_SIZE_MAX: Final = 5
TEST_SECONDS_MAX: Final = 300


class ServiceMachine(RuleBasedStateMachine):
    """Applies steps to the system and to the model, and asks both, in any order."""

    def __init__(self, urls: ServerUrls, template_database: str) -> None:
        """Serve a fresh database."""
        super().__init__()
        self._stack = ExitStack()
        maywe = self._stack.enter_context(fresh_maywe(urls, template_database))
        self._agreement = ServiceAgreement(maywe)

    def teardown(self) -> None:
        """Stop serving."""
        self._stack.close()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Publish a catalog, rarely after some purchases."""
        self._builder = stateful_builder(data)
        self._builder.add_first_steps()
        for step in self._builder.steps:
            self._agreement.apply(step)

    @rule(data=st.data(), count=st.integers(1, STEPS_PER_RULE_MAX))
    def record(self, data: st.DataObject, count: int) -> None:
        """Record events of any kind, repeat, publish, or try what has to be refused."""
        continue_with(self._builder, data)
        for _ in range(count):
            self._agreement.apply(self._builder.add_next_step())

    @rule(data=st.data())
    def check(self, data: st.DataObject) -> None:
        """Ask a single check."""
        self._agreement.agree_on_check(self._check_probe(data))

    @rule(data=st.data(), count=st.integers(1, BATCH_SIZE_MAX))
    def batch(self, data: st.DataObject, count: int) -> None:
        """Ask several questions at once."""
        self._agreement.agree_on_batch([self._check_probe(data) for _ in range(count)])

    @rule(data=st.data())
    def audience(self, data: st.DataObject) -> None:
        """Ask one question of everybody."""
        self._agreement.agree_on_audience(self._check_probe(data))

    @rule(data=st.data())
    def allowed(self, data: st.DataObject) -> None:
        """List everybody who is allowed."""
        self._agreement.agree_on_list(self._check_probe(data))

    @rule(data=st.data())
    def explain(self, data: st.DataObject) -> None:
        """Ask for an explanation, of today's knowledge or an earlier one's."""
        self._agreement.agree_on_explain(self._explain_probe(data))

    @rule(data=st.data())
    def card(self, data: st.DataObject) -> None:
        """Ask for a card, and for what waits for a publication."""
        probe = self._explain_probe(data)
        self._agreement.agree_on_card(probe)
        self._agreement.agree_on_unmatched(probe["customer"])

    def _check_probe(self, data: st.DataObject) -> dict[str, Any]:
        continue_with(self._builder, data)
        return check_probe(self._builder)

    def _explain_probe(self, data: st.DataObject) -> dict[str, Any]:
        continue_with(self._builder, data)
        return explain_probe(self._builder)


@pytest.mark.timeout(TEST_SECONDS_MAX)
def test_service_answers_as_the_model(server_urls: ServerUrls, template_database: str) -> None:
    """Whatever is recorded and asked, in any order, the system and the model agree."""

    class FreshMachine(ServiceMachine):
        """Serves a fresh database each time it is made."""

        def __init__(self) -> None:
            super().__init__(server_urls, template_database)

    run_state_machine_as_test(
        FreshMachine,
        settings=settings(
            max_examples=EXAMPLES_MAX,
            stateful_step_count=RULES_PER_EXAMPLE,
            deadline=None,
            # Shrinking would serve the same failure again and again for many minutes; the steps
            # that led to it are printed anyway.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
