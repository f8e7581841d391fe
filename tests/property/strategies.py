"""Hypothesis strategies over the scenario generators of tests/model.

What lives here: the adapter that lets Hypothesis make, and shrink, the choices of the
generators, and the strategies built on it. What must not: what a scenario consists of;
that is in tests/model, where the plain seeded generator uses it too.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.model.document import Document
from tests.model.palette import palette
from tests.model.random_catalog import catalog, corrected
from tests.model.random_probes import probe, scenario
from tests.model.random_steps import ScenarioBuilder

PUBLICATIONS_MAX = 4


class DrawnChoices:
    """Choices that Hypothesis makes; it shrinks each towards 0."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1."""
        return self._draw(st.integers(min_value=0, max_value=count - 1))


@st.composite
def catalogs(draw: st.DrawFn) -> Document:
    """A valid catalog."""
    choices = DrawnChoices(draw)
    return catalog(choices, palette(choices))


@st.composite
def publications(draw: st.DrawFn) -> list[Document]:
    """A catalog and corrections of it, each legal after the one before."""
    choices = DrawnChoices(draw)
    stock = palette(choices)
    documents = [catalog(choices, stock)]
    for _ in range(choices.below(PUBLICATIONS_MAX)):
        documents.append(corrected(choices, stock, documents[-1]))
    return documents


@st.composite
def scenarios(draw: st.DrawFn, probes: int = 12) -> dict[str, Any]:
    """A whole scenario in the shape of a case file, without `expect`."""
    return scenario(DrawnChoices(draw), probes)


def stateful_builder(data: st.DataObject) -> ScenarioBuilder:
    """A builder for a stateful test: call add_first_steps, then add_next_step and drawn_probe.

    Each rule of the test hands its own data over with continue_with before it draws.
    """
    return ScenarioBuilder(DrawnChoices(data.draw))


def continue_with(builder: ScenarioBuilder, data: st.DataObject) -> None:
    """Let the builder take its further choices from this data."""
    builder.choices = DrawnChoices(data.draw)


def drawn_probe(builder: ScenarioBuilder) -> dict[str, Any]:
    """A probe of what the builder has recorded so far, at an instant that matters."""
    return probe(builder)
