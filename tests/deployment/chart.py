"""The chart as Helm's own engine renders it, and what the tests read from that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm"
RELEASE: Final = "maywe"
NAMESPACE: Final = "consents"

VALUE_SETS: Final = {
    path.name.removesuffix("-values.yaml"): path
    for path in sorted((CHART / "ci").glob("*-values.yaml"))
}

Resource = dict[str, Any]


def values_of(name: str) -> dict[str, Any]:
    """The values of a set."""
    values: dict[str, Any] = yaml.safe_load(VALUE_SETS[name].read_text(encoding="utf-8"))
    return values


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others in their place, key by key."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        if isinstance(change, dict) and isinstance(old, dict):
            result[key] = merged(old, change)
        else:
            result[key] = change
    return result


@dataclass(frozen=True)
class Rendered:
    """Everything that a set of values gives."""

    resources: tuple[Resource, ...]
    notes: str

    def of_kind(self, kind: str) -> list[Resource]:
        """All of a kind."""
        return [resource for resource in self.resources if resource["kind"] == kind]

    def one(self, kind: str, component: str) -> Resource:
        """The one of a kind that belongs to a component."""
        (found,) = [
            resource for resource in self.of_kind(kind) if component_of(resource) == component
        ]
        return found

    def pods(self) -> Iterator[tuple[str, Resource]]:
        """The template of every pod, with its component."""
        for resource in [*self.of_kind("Deployment"), *self.of_kind("Job")]:
            yield component_of(resource), resource["spec"]["template"]


def component_of(resource: Resource) -> str:
    """The component that a resource belongs to."""
    component: str = resource["metadata"]["labels"]["app.kubernetes.io/component"]
    return component


def rendered(values: Mapping[str, Any]) -> Rendered:
    """What Helm renders. Raises HelmError, also when the values are not as the schema says."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(dict(values), name=RELEASE, namespace=NAMESPACE)
    notes = files.pop(f"{RELEASE}/templates/NOTES.txt")
    documents = [
        document
        for name, text in files.items()
        if not name.endswith(".tpl")
        for document in yaml.safe_load_all(text)
        if document
    ]
    return Rendered(tuple(documents), notes)


@cache
def rendered_set(name: str) -> Rendered:
    """What a set of values gives; not to be changed, as tests share it."""
    return rendered(values_of(name))


def container_of(pod: Resource) -> Resource:
    """The one container of a pod."""
    (container,) = pod["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environment_of_pod(result: Rendered, pod: Resource, pod_ip: str) -> dict[str, str]:
    """The environment that a pod's process sees, at an address."""
    container = container_of(pod)
    environment: dict[str, str] = {}
    maps = {resource["metadata"]["name"]: resource for resource in result.of_kind("ConfigMap")}
    for source in container.get("envFrom", []):
        environment |= maps[source["configMapRef"]["name"]]["data"]
    for entry in container["env"]:
        if "valueFrom" in entry:
            assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
            environment[entry["name"]] = pod_ip
        else:
            environment[entry["name"]] = entry["value"].replace("$(POD_IP)", pod_ip)
    return environment
