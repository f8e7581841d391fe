"""The dashboard, the alert rules and the document, held to the table of metrics."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from decision.errors import ErrorCode
from service.metrics.document import DOCUMENT, with_table
from service.metrics.labels import OUTCOMES, TASKS
from service.metrics.memory import LAYOUT
from service.metrics.metric import EVERYWHERE, Kind
from service.metrics.table import BY_NAME, METRICS
from service.metrics.watching import OTHER_TASK
from tests.promql import Checker, labels_in

ROOT: Final = Path(__file__).parents[2]
MONITORING: Final = ROOT / "helm" / "monitoring"
ALERTS: Final = MONITORING / "alerts.yaml"
DASHBOARD: Final = MONITORING / "dashboard.json"


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every expression of the dashboard, with its panel's title."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_alerts_name_what_servers_tell(rule: Mapping[str, Any]) -> None:
    """Metrics, labels and their values; in the text of an alert labels that it has."""
    found = Checker(rule["expr"])
    assert found.problems == []
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    texts = " ".join(rule["annotations"].values())
    assert set(labels_in(texts.replace("$value", ""))) <= found.labels


def test_what_nobody_tells_is_missed() -> None:
    """No comparison with little is true of nothing: an absence of the same servers raises one."""
    checked = [Checker(rule["expr"]) for rule in alerts()]
    missed = {BY_NAME[name].servers for found in checked for name in found.found_missing}
    low = {name for found in checked for name in found.found_low}
    assert low
    assert not {name for name in low if BY_NAME[name].servers not in missed}
    assert {frozenset({one}) for one in EVERYWHERE} <= missed


@pytest.mark.parametrize("target", [pytest.param(one, id=title) for title, one in targets()])
def test_the_dashboard_names_what_servers_tell(target: Mapping[str, Any]) -> None:
    """Metrics, labels and their values; in a legend labels that its series have."""
    found = Checker(target["expr"])
    assert found.problems == []
    assert set(labels_in(target["legendFormat"])) <= found.labels


def test_every_metric_is_on_the_dashboard() -> None:
    """What nobody looks at need not be counted."""
    shown = {name for _, target in targets() for name in Checker(target["expr"]).metrics}
    assert shown == {metric.name for metric in METRICS}


def test_variables_of_the_dashboard_are_filled_from_a_metric() -> None:
    """Grafana asks for the values of a label of a metric; panels do not lie over each other."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [
        re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["definition"])
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]
    names = {metric.name for metric in METRICS}
    assert asked
    assert all(found and found[1] in names for found in asked)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert all(x < 24 for x, _ in places)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(maywe_call_total[5m])", "maywe_call_total is no metric"),
        ("rate(maywe_call_duration_seconds[5m])", "maywe_call_duration_seconds is no metric"),
        ("rate(maywe_calls_total{verb='x'}[5m])", "maywe_calls_total has no label verb"),
        ("rate(maywe_calls_total{le='1'}[5m])", "maywe_calls_total has no label le"),
        ("rate(maywe_calls_total{code='FINE'}[5m])", "code is never FINE"),
        ("rate(maywe_calls_total{code=~'OK|FINE'}[5m])", "code is never FINE"),
        ("rate(maywe_calls_total{method=~'Decision.*'}[5m])", None),
        ("sum by (customer) (maywe_processes)", "nothing there has the label customer"),
        ("sum by (instance) (sum(maywe_processes))", "nothing there has the label instance"),
        ("maywe_calls_total", "maywe_calls_total is a counter: rate or not?"),
        ("rate(maywe_processes[5m])", "maywe_processes is a gauge: rate or not?"),
        (
            "histogram_quantile(0.9, sum(rate(maywe_call_duration_seconds_bucket[5m])))",
            "nothing there has the label le",
        ),
        ("maywe_processes / ignoring (cause) maywe_processes", "nothing there has the label cause"),
    ],
)
def test_wrong_expressions_are_found(expression: str, problem: str | None) -> None:
    """Else the tests above would show nothing."""
    assert Checker(expression).problems == ([] if problem is None else [problem])
    assert Checker("sum by (le").problems


def test_every_alert_is_in_the_document_and_no_other() -> None:
    """With what it means and what to do."""
    text = DOCUMENT.read_text(encoding="utf-8")
    named = re.findall(r"`(Maywe\w+)`", text)
    assert sorted(named) == sorted(rule["alert"] for rule in alerts())


def test_the_document_has_every_metric() -> None:
    """As the code has them: name, kind, labels, servers; whoever adds one writes it anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(text) == text
    assert all(f"| `{metric.name}` |" in text for metric in METRICS)
    in_text = set(re.findall(r"`(maywe_[a-z_]+?)(?:_…)?`", text))
    names = {metric.name for metric in METRICS}
    assert all(any(name.startswith(one) for name in names) for one in in_text)


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Our prefix, base units, `_total` for counters and for nothing else."""
    for metric in METRICS:
        assert re.fullmatch(r"maywe_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
        assert not re.search(r"_(ms|milliseconds|minutes|percent|kb|mb)(_|$)", metric.name)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_every_reason_of_an_error_is_counted_by_itself() -> None:
    """A new one has to be given its place; the series stay as few as they can be."""
    reasons = [reason for _, reason in OUTCOMES]
    assert set(ErrorCode.__members__) <= set(reasons)
    assert len(set(reasons)) == len(reasons)
    assert len(LAYOUT.places) < 3000


def test_reasons_have_the_status_that_the_contract_says() -> None:
    """So calls are counted with the status that their callers get."""
    text = (ROOT / "protos" / "maywe" / "v1" / "errors.proto").read_text(encoding="utf-8")
    said = dict[str, str]()
    for comment, name in re.findall(r"((?:  //.*\n)+)  ERROR_REASON_(\w+) = \d+;", text):
        status = re.search(r"Status\s+([A-Z_]+)", comment.replace("//", ""))
        if status is not None:
            said[name] = status[1]
    counted = {reason: code for code, reason in OUTCOMES if reason and reason != "CALLER_GONE"}
    assert counted == said


def test_every_task_in_the_background_is_counted_by_its_name() -> None:
    """A new one has to be given its label, or it would be told as `other`."""
    text = "".join(
        (ROOT / "service" / name).read_text(encoding="utf-8")
        for name in ("duties.py", "composition.py", "bulk.py")
    )
    named = re.findall(r"\.repeat\(\s*\"([^\"]+)\"", text)
    assert len(named) == len(re.findall(r"\.repeat\(", text)), "each as it stands in the code"
    assert {*named, OTHER_TASK} == set(TASKS)
