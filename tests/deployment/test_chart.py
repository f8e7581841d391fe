"""The chart by itself: it lints, follows its schema, and gives what Kubernetes takes."""

import json
import re
import tomllib
from typing import Any, Final

import helm_python
import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from tests.deployment.chart import (
    CHART,
    ROOT,
    VALUE_SETS,
    component_of,
    merged,
    rendered,
    rendered_set,
    values_of,
)

KUBERNETES_VERSIONS: Final = ("1.27", "1.30", "1.34", "1.37")
"""From the oldest that the chart takes to the newest whose schemas we have."""

WARNING: Final = 2
"""The severity from which on a message of the linter is more than advice."""

every_set = pytest.mark.parametrize("name", VALUE_SETS)


@every_set
def test_the_linter_finds_nothing(name: str) -> None:
    """Warnings count as errors."""
    report = helm_python.lint(CHART, values_of(name), strict=True)
    assert report["errors"] == []
    assert [found for found in report["messages"] if found["severity"] >= WARNING] == []


@every_set
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_what_is_rendered(name: str, version: str) -> None:
    """Strictly: a field that a version does not know is refused."""
    for resource in rendered_set(name).resources:
        if not resource["apiVersion"].startswith("monitoring.coreos.com/"):
            validate(resource, version, strict=True)


def test_the_schemas_of_kubernetes_refuse_something() -> None:
    """Else the test above would show nothing."""
    resource = json.loads(json.dumps(rendered_set("smallest").one("Deployment", "writer")))
    resource["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
    with pytest.raises(ValidationError):
        validate(resource, KUBERNETES_VERSIONS[-1], strict=True)


def test_the_oldest_kubernetes_is_the_one_that_the_chart_names() -> None:
    """What is validated is what is promised."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == f">={KUBERNETES_VERSIONS[0]}.0-0"


def test_the_chart_goes_with_this_version() -> None:
    """The default tag of the image is the version of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == project["version"]


def schema() -> dict[str, Any]:
    """The schema of the values."""
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def test_every_value_is_in_the_schema_and_described() -> None:
    """And whatever is in the schema has a default in values.yaml."""
    whole = schema()

    def compare(values: dict[str, Any], described: dict[str, Any], where: str) -> None:
        properties = described["properties"]
        assert set(values) == set(properties) - {"global"}, where
        for key, value in values.items():
            part = properties[key]
            if "$ref" in part:
                assert part["$ref"].startswith("#/definitions/")
                continue
            assert part["description"], f"{where}.{key}"
            if "properties" in part:
                assert part["additionalProperties"] is False, f"{where}.{key}"
                compare(value, part, f"{where}.{key}")

    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert whole["additionalProperties"] is False
    compare(defaults, whole, "")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"image": {"tag": "latest"}}, "/image/tag"),
        ({"image": {"repository": ""}}, "/image/repository"),
        ({"image": {"repository": "registry.example/maywe:latest"}}, "/image/repository"),
        ({"postgresql": {"urlSecret": {"name": ""}}}, "/postgresql/urlSecret/name"),
        ({"redis": {"urlSecret": {"name": ""}}}, "/redis/urlSecret/name"),
        ({"access": {"certificateSecret": {"name": ""}}}, "/access/certificateSecret/name"),
        ({"access": {"clientCaSecret": {"name": ""}}}, "/access"),
        ({"access": {"tokens": {"keysUrl": "https://issuer"}}}, "/access/tokens"),
        ({"access": {"tokens": {"keysUrl": "http://issuer"}}}, "/access/tokens/keysUrl"),
        (
            {
                "access": {
                    "tokens": {
                        "keysUrl": "https://issuer",
                        "keysSecret": {"name": "keys"},
                        "issuer": "https://issuer",
                        "audience": "maywe",
                    }
                }
            },
            "/access/tokens",
        ),
        ({"nameOverride": "A_B"}, "/nameOverride"),
        ({"nameOverride": "a."}, "/nameOverride"),
        ({"fullnameOverride": "A_B"}, "/fullnameOverride"),
        ({"fullnameOverride": "1st"}, "/fullnameOverride"),
        ({"control": {"certificateSecret": {"name": ""}}}, "/control/certificateSecret/name"),
        ({"settings": {"MAYWE_POSTGRES_URL": "postgresql://u:p@h/d"}}, "'MAYWE_POSTGRES_URL'"),
        ({"settings": {"MAYWE_LISTEN": "0.0.0.0:1"}}, "'MAYWE_LISTEN'"),
        ({"settings": {"MAYWE_LEASE_SECONDS": 2}}, "/settings/MAYWE_LEASE_SECONDS"),
        ({"decision": {"replica": 3}}, "/decision"),
        ({"decision": {"processes": 0}}, "/decision/processes"),
        ({"writer": {"resources": {"limits": {"memory": None}}}}, "/writer/resources/limits"),
        ({"networkPolicy": {"decisionClients": [{}]}}, "/networkPolicy/decisionClients/0"),
        ({"ingress": {"enabled": True, "host": "h"}}, "/ingress"),
        ({"postgres": {}}, "postgres"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, Any], where: str) -> None:
    """By Helm itself, before anything is rendered, with the place named."""
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(where)):
        rendered(merged(values_of("smallest"), changes))


def test_nothing_is_rendered_without_stores_of_the_operators_own() -> None:
    """The chart brings no PostgreSQL, no Redis and nobody's image."""
    with pytest.raises(helm_python.HelmValuesError, match="/postgresql/urlSecret/name"):
        rendered({})
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert "dependencies" not in chart


@every_set
def test_names_are_the_releases_own(name: str) -> None:
    """Two of a kind and name would be one; all stand in the release's namespace."""
    resources = rendered_set(name).resources
    names = [(resource["kind"], resource["metadata"]["name"]) for resource in resources]
    assert len(set(names)) == len(names)
    assert {resource["metadata"]["namespace"] for resource in resources} == {"consents"}
    for resource in resources:
        assert component_of(resource)


def test_long_names_stay_names() -> None:
    """Kubernetes takes 63 characters, of which components need some."""
    result = rendered(merged(values_of("everything"), {"fullnameOverride": "a" * 50}))
    assert max(len(resource["metadata"]["name"]) for resource in result.resources) <= 63


@every_set
def test_the_notes_say_what_is_there(name: str) -> None:
    """Where servers are found, or that there are none."""
    notes = rendered_set(name).notes
    is_stopped = values_of(name).get("stopped", False)
    assert ("maywe is stopped" in notes) is is_stopped
    assert ("-decision.consents:7443" in notes) is not is_stopped
    assert ("networkPolicy.enabled is false" in notes) is (name == "external-secrets")
    assert ("migration.alone is still true" in notes) is (name == "everything")


@pytest.mark.parametrize("component", ["decision", "writer", "worker"])
def test_other_settings_need_other_pods(component: str) -> None:
    """Settings are read at the start: a checksum changes with them, and with nothing else."""

    def checksum(changes: dict[str, Any]) -> str:
        result = rendered(merged(values_of("smallest"), changes))
        template = result.one("Deployment", component)["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/settings"]
        return found

    changed = checksum({"settings": {"MAYWE_LOG_LEVEL": "debug"}})
    assert changed != checksum({})
    assert changed != checksum({"settings": {"MAYWE_LOG_LEVEL": "error"}})
    assert checksum({"decision": {"replicas": 5}}) == checksum({})
