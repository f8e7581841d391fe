"""What the chart does for those who watch: off by default, and what is on fits what is told."""

import json
from typing import Any, Final

import pytest
import yaml

from tests.deployment.chart import CHART, Resource, container_of, rendered, rendered_set, values_of

SERVERS: Final = ("decision", "writer", "worker")


def pods(name: str) -> dict[str, Resource]:
    """The pods of the servers of a set."""
    return {component: pod for component, pod in rendered_set(name).pods() if component in SERVERS}


def variable(pod: Resource, name: str) -> Any:
    """What a pod is given."""
    [found] = [entry["value"] for entry in container_of(pod)["env"] if entry["name"] == name]
    return found


def test_by_default_metrics_are_told_and_nobody_is_asked_to_scrape_them() -> None:
    """Neither by annotations nor by kinds that a cluster may not know."""
    result = rendered_set("smallest")
    kinds = {resource["kind"] for resource in result.resources}
    assert kinds.isdisjoint({"PodMonitor", "PrometheusRule", "ServiceMonitor"})
    assert not [found for found in result.of_kind("ConfigMap") if "maywe.json" in found["data"]]
    for pod in pods("smallest").values():
        assert not [key for key in pod["metadata"]["annotations"] if key.startswith("prometheus")]
        assert variable(pod, "MAYWE_METRICS_LISTEN") == "0.0.0.0:7441"
    assert "metrics.scrapers is empty" in result.notes


def test_metrics_can_be_left_out() -> None:
    """Then no port is open, whatever else is on."""
    values = json.loads(json.dumps(values_of("everything")))
    values["metrics"]["enabled"] = False
    result = rendered(values)
    assert not result.of_kind("PodMonitor")
    for component, pod in result.pods():
        if component in SERVERS:
            assert variable(pod, "MAYWE_METRICS_LISTEN") == "off"
            assert "metrics" not in {port["name"] for port in container_of(pod)["ports"]}
            assert "prometheus.io/port" not in pod["metadata"]["annotations"]
            rules = result.one("NetworkPolicy", component)["spec"]["ingress"]
            assert 7441 not in {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize("component", SERVERS)
def test_whoever_scrapes_finds_every_server(component: str) -> None:
    """By annotations, and by a monitor that selects the pods and names a port that they have."""
    pod = pods("everything")[component]
    annotations = pod["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    ports = {port["name"]: port["containerPort"] for port in container_of(pod)["ports"]}
    assert annotations["prometheus.io/port"] == str(ports["metrics"])
    [monitor] = rendered_set("everything").of_kind("PodMonitor")
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    [kinds] = monitor["spec"]["selector"]["matchExpressions"]
    # And not a migration, which serves nothing.
    assert set(kinds["values"]) == set(SERVERS)
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "15s"}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_alerts_and_dashboard_are_those_of_the_files() -> None:
    """Whole, with what looks like a template in them as it stands."""
    result = rendered_set("everything")
    [rules] = result.of_kind("PrometheusRule")
    alerts = (CHART / "monitoring" / "alerts.yaml").read_text(encoding="utf-8")
    assert rules["spec"] == yaml.safe_load(alerts)
    [found] = [one for one in result.of_kind("ConfigMap") if "maywe.json" in one["data"]]
    dashboard = (CHART / "monitoring" / "dashboard.json").read_text(encoding="utf-8")
    assert json.loads(found["data"]["maywe.json"]) == json.loads(dashboard)
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
