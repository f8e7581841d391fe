"""The decision package against the naive model, which is written from the text alone."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.model.case_runner import CASES_NOW, case_files, load_case
from tests.model.choices import Choices, SeededChoices, chance
from tests.model.document import Document
from tests.model.faulty_catalog import faulty
from tests.model.palette import Palette
from tests.model.random_catalog import corrected
from tests.model.random_probes import random_scenario
from tests.model.random_steps import ScenarioBuilder
from tests.property.comparison import case_disagreements, differences
from tests.property.strategies import scenarios

pytestmark = pytest.mark.property

SEEDS: Final = range(150)
SEEDS_PER_TEST: Final = 25
FAULTY_SEEDS: Final = range(60)
STEPS_BEFORE_FAULTS: Final = 6
DOCUMENTS_PER_SEED: Final = 6
CHANGES_PER_DOCUMENT_MAX: Final = 3


@pytest.mark.parametrize("first", SEEDS[::SEEDS_PER_TEST])
def test_seeded_scenarios_are_answered_alike(first: int) -> None:
    """Steps end alike, probes are answered alike, and so is every instant that matters."""
    for seed in range(first, first + SEEDS_PER_TEST):
        assert (seed, differences(random_scenario(seed), CASES_NOW)) == (seed, [])


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(scenario=scenarios())
def test_generated_scenarios_are_answered_alike(scenario: dict[str, Any]) -> None:
    """What Hypothesis comes upon, and shrinks, is answered alike as well."""
    assert differences(scenario, CASES_NOW) == []


@pytest.mark.parametrize("path", case_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_case_passes_through_the_decision_package(path: Path) -> None:
    """Every step and every probe of a case file has the outcome that the file expects."""
    assert case_disagreements(load_case(path), CASES_NOW) == []


@pytest.mark.parametrize("seed", FAULTY_SEEDS)
def test_documents_with_several_faults_are_refused_alike(seed: int) -> None:
    """Faulty in itself outranks at odds with what is recorded, however many faults there are."""
    choices = SeededChoices(seed)
    builder = ScenarioBuilder(choices)
    builder.add_first_steps()
    for _ in range(STEPS_BEFORE_FAULTS):
        builder.add_next_step()
    assert builder.document is not None
    for _ in range(DOCUMENTS_PER_SEED):
        document = _spoilt(choices, builder.palette, builder.document)
        steps = [*builder.steps, {"op": "publish", "catalog": document}]
        assert differences({"steps": steps, "probes": []}, CASES_NOW) == []


def _spoilt(choices: Choices, stock: Palette, document: Document) -> Document:
    """A document with some faults and some corrections; a fault may find nothing to spoil."""
    for _ in range(1 + choices.below(CHANGES_PER_DOCUMENT_MAX)):
        with suppress(IndexError, KeyError, ValueError):
            if chance(choices, 70):
                document = faulty(choices, document)
            else:
                document = corrected(choices, stock, document)
    return document
