"""Expressions of Prometheus held to the table of metrics.

What lives here: what an expression names that servers do not tell. Real servers are held to the
same table (`tests/integration/test_metrics.py`).
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser

from service.metrics.metric import Kind, Metric
from service.metrics.table import BY_NAME

TARGET_LABELS: Final = frozenset({"instance", "job"})
"""Labels that whoever scrapes adds."""

RATES: Final = frozenset({"increase", "rate"})
_LITTLE: Final = frozenset({"==", "<", "<="})
_PARTS: Final = ("_bucket", "_count", "_sum")
_VARIABLE: Final = "$"


class Checker:
    """Walks one expression: `problems` are what it names wrongly, `metrics` what it names.

    Of these, `found_low` are compared for being little, which they never are while nobody tells
    them, and `found_missing` are looked for by their absence.
    """

    def __init__(self, text: str) -> None:
        self.problems: list[str] = []
        self.metrics: set[str] = set()
        self.found_low: set[str] = set()
        self.found_missing: set[str] = set()
        try:
            parsed = promql_parser.parse(text.replace("$__rate_interval", "5m"))
        except ValueError as error:
            self.problems.append(str(error))
            self.labels: frozenset[str] = frozenset()
            return
        self.labels = self._labels(parsed, is_in_rate=False)

    def _labels(self, found: Any, *, is_in_rate: bool) -> frozenset[str]:
        """The labels that the series of an expression have."""
        labels: frozenset[str] = frozenset()
        match found:
            case promql_parser.VectorSelector():
                labels = self._selected(found, is_in_rate=is_in_rate)
            case promql_parser.MatrixSelector():
                labels = self._selected(found.vector_selector, is_in_rate=is_in_rate)
            case promql_parser.AggregateExpr():
                labels = self._aggregated(found)
            case promql_parser.BinaryExpr():
                labels = self._joined(found)
            case promql_parser.Call():
                labels = self._called(found)
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                labels = self._labels(found.expr, is_in_rate=is_in_rate)
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case _:
                self.problems.append(f"{type(found).__name__} is not looked at")
        return labels

    def _selected(self, selector: Any, *, is_in_rate: bool) -> frozenset[str]:
        metric, labels = _metric_of(selector.name)
        if metric is None:
            self.problems.append(f"{selector.name} is no metric")
            return frozenset()
        self.metrics.add(metric.name)
        if is_in_rate is (metric.kind is Kind.GAUGE):
            self.problems.append(f"{selector.name} is a {metric.kind.value}: rate or not?")
        values = {label.name: label.values for label in metric.labels}
        for matcher in selector.matchers.matchers:
            if matcher.name in TARGET_LABELS:
                continue
            if matcher.name not in labels:
                self.problems.append(f"{selector.name} has no label {matcher.name}")
            elif matcher.name in values:
                self._check_value(matcher, values[matcher.name])
        return labels

    def _check_value(self, matcher: Any, values: tuple[str, ...]) -> None:
        is_pattern = "~" in _OPERATORS[str(matcher.op)]
        for wanted in matcher.value.split("|") if is_pattern else [matcher.value]:
            pattern = wanted if is_pattern else re.escape(wanted)
            if _VARIABLE not in wanted and not any(re.fullmatch(pattern, one) for one in values):
                self.problems.append(f"{matcher.name} is never {wanted}")

    def _aggregated(self, found: Any) -> frozenset[str]:
        inner = self._labels(found.expr, is_in_rate=False)
        if found.modifier is None:
            return frozenset()
        named = frozenset(found.modifier.labels)
        self._check_named(named, inner)
        is_by = found.modifier.type == promql_parser.AggModifierType.By
        return named & inner if is_by else inner - named

    def _joined(self, found: Any) -> frozenset[str]:
        before, self.metrics = self.metrics, set()
        left = self._labels(found.lhs, is_in_rate=False)
        if str(found.op) in _LITTLE:
            self.found_low |= self.metrics
        self.metrics |= before
        right = self._labels(found.rhs, is_in_rate=False)
        if found.modifier is not None and found.modifier.matching is not None:
            self._check_named(frozenset(found.modifier.matching.labels), left | right)
        return left | right if str(found.op) == "or" else left

    def _called(self, found: Any) -> frozenset[str]:
        name = found.func.name
        labels: frozenset[str] = frozenset()
        if name == "absent":
            # A counter too, as nothing of its value is told.
            (argument,) = found.args
            metric, _ = _metric_of(argument.name)
            self._selected(argument, is_in_rate=metric is None or metric.kind is not Kind.GAUGE)
            self.found_missing |= {argument.name} & self.metrics
            return frozenset()
        for argument in found.args:
            labels |= self._labels(argument, is_in_rate=name in RATES)
        if name == "histogram_quantile":
            self._check_named(frozenset({"le"}), labels)
            return labels - {"le"}
        return labels

    def _check_named(self, named: frozenset[str], there: frozenset[str]) -> None:
        self.problems += [f"nothing there has the label {name}" for name in sorted(named - there)]


_OPERATORS: Final = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


def _metric_of(name: str) -> tuple[Metric | None, frozenset[str]]:
    """The metric that a series belongs to, with the labels that it has."""
    for part in _PARTS:
        metric = BY_NAME.get(name.removesuffix(part))
        if name.endswith(part) and metric is not None and metric.kind is Kind.HISTOGRAM:
            labels = TARGET_LABELS | {label.name for label in metric.labels}
            return metric, labels | {"le"} if part == "_bucket" else labels
    metric = BY_NAME.get(name)
    if metric is None or metric.kind is Kind.HISTOGRAM:
        return None, frozenset()
    return metric, TARGET_LABELS | {label.name for label in metric.labels}


def labels_in(template: str) -> Iterator[str]:
    """The labels that a legend, or the text of an alert, names."""
    for found in re.finditer(r"\{\{\s*(?:\$labels\.)?(\w+)\s*(?:\||\}\})", template):
        yield found[1]
    for found in re.finditer(r"\{\{\s*\$labels\.(\w+)", template):
        yield found[1]
