"""Chart and code do not part: settings by name and value, ports, and who may reach them."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from service.bulk import CONNECTIONS
from service.composition import LEASE_CONNECTIONS
from service.setting_table import SETTINGS
from service.settings import Settings, read_settings
from service.stores import CONNECTIONS_BESIDE_READS
from store.database import POOL_CONNECTIONS_MAX
from store.shared_reads import READS_IN_FLIGHT_MAX
from tests.deployment.chart import (
    CHART,
    VALUE_SETS,
    Rendered,
    Resource,
    container_of,
    environment_of_pod,
    rendered_set,
    values_of,
)

SERVERS: Final = ("decision", "writer", "worker")
IPV4: Final = "10.9.8.7"
IPV6: Final = "fd00::7"

NOT_OF_THE_CODE: Final = {"HOME", "POD_IP"}
"""Variables that are no settings of ours."""

NOT_OF_THE_CHART: Final = {
    # Embedded servers, which the image does not have.
    "MAYWE_DATA_DIRECTORY",
    "MAYWE_DURABLE",
    "MAYWE_SERVER_USER",
    # Set by the parent of several processes.
    "MAYWE_PORT_SHARED",
    # Given as files.
    "MAYWE_POSTGRES_URL",
    "MAYWE_REDIS_URL",
}
"""Settings that no pod is given."""


VARIABLES: Final = {setting.variable for setting in SETTINGS}
FILE_VARIABLES: Final = {setting.file_variable for setting in SETTINGS if setting.is_secret}
KNOWN: Final = VARIABLES | FILE_VARIABLES

every_set = pytest.mark.parametrize("name", VALUE_SETS)


def pod_ip(name: str) -> str:
    """An address as a pod of the set may have it."""
    return IPV6 if values_of(name).get("network", {}).get("ipv6") else IPV4


def settings_of(result: Rendered, pod: Resource, address: str, directory: Path) -> Settings:
    """The settings that a pod's process reads, with its secrets as files below a directory."""
    files = {
        "url": {"postgresql": "postgresql://u:p@h/d", "redis": "redis://:p@h"},
    }
    for mount in container_of(pod)["volumeMounts"]:
        place = directory / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        (volume,) = [found for found in pod["spec"]["volumes"] if found["name"] == mount["name"]]
        for item in volume.get("secret", {}).get("items", []):
            content = files.get(item["path"], {}).get(place.name, "something")
            (place / item["path"]).write_text(content)
    environment = {
        variable: f"{directory}{value}" if value.startswith("/run/maywe/") else value
        for variable, value in environment_of_pod(result, pod, address).items()
    }
    return read_settings({"data_directory": str(directory)}, environment)


@every_set
def test_every_setting_that_a_pod_is_given_is_one_of_the_code(name: str) -> None:
    """A misspelt or forgotten one would be silently without effect."""
    result = rendered_set(name)
    for component, pod in result.pods():
        given = environment_of_pod(result, pod, IPV4).keys() - NOT_OF_THE_CODE
        assert given <= KNOWN, component


def test_every_setting_of_the_code_can_be_given_by_the_chart() -> None:
    """A new one has to be placed: by the chart itself, in its values, or not at all."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    named: set[str] = set()
    for part in (schema, schema["properties"]["access"]):
        named |= set(part["properties"]["settings"]["propertyNames"]["enum"])
    assert named <= KNOWN
    given: set[str] = set()
    for name in VALUE_SETS:
        result = rendered_set(name)
        for _, pod in result.pods():
            given |= environment_of_pod(result, pod, IPV4).keys()
    assert VARIABLES - named - given == NOT_OF_THE_CHART
    assert given & NOT_OF_THE_CHART == set()


@every_set
def test_the_code_reads_what_pods_are_given(name: str, tmp_path: Path) -> None:
    """No value is refused, every file is where its setting says, and stores are not embedded."""
    result = rendered_set(name)
    for component, pod in result.pods():
        settings = settings_of(result, pod, pod_ip(name), tmp_path / component)
        assert not settings.uses_embedded_servers
        assert settings.redis_url == "redis://:p@h"
    assert {component for component, _ in result.pods()} >= set(SERVERS)


@every_set
def test_leases_are_of_one_length_everywhere(name: str, tmp_path: Path) -> None:
    """And live as long as the values say: servers must agree on it."""
    result = rendered_set(name)
    lengths = {
        settings_of(result, pod, pod_ip(name), tmp_path / component).lease_seconds
        for component, pod in result.pods()
        if component in SERVERS
    }
    wanted = values_of(name).get("settings", {}).get("MAYWE_LEASE_SECONDS", "2")
    assert lengths == {float(wanted)}


def port_of(listen: str) -> int:
    """The port of HOST:PORT."""
    return int(listen.rpartition(":")[2])


def listened_ports(settings: Settings, component: str) -> dict[int, str]:
    """The ports that a server's processes open to others, and what for."""
    ports = {port_of(settings.health_listen): "health"}
    if settings.metrics_listen != "off":
        ports[port_of(settings.metrics_listen)] = "metrics"
    if not settings.listen.startswith("127."):
        ports[port_of(settings.listen)] = "clients"
    if component == "decision":
        # As `service.several` has it: those of further processes follow the first one's.
        first = port_of(settings.control_listen)
        ports |= {first + number: "control" for number in range(settings.processes)}
    return ports


def test_all_settings_that_open_a_port_are_looked_at() -> None:
    """A new one has to be opened to somebody, or to nobody, on purpose."""
    assert {name for name in VARIABLES if "LISTEN" in name} == {
        "MAYWE_LISTEN",
        "MAYWE_HEALTH_LISTEN",
        "MAYWE_CONTROL_LISTEN",
        "MAYWE_METRICS_LISTEN",
    }


@every_set
@pytest.mark.parametrize("component", SERVERS)
def test_ports_are_those_that_the_code_listens_on(
    name: str, component: str, tmp_path: Path
) -> None:
    """Where writers are told to reach a decision server included."""
    result = rendered_set(name)
    pod = dict(result.pods())[component]
    settings = settings_of(result, pod, pod_ip(name), tmp_path)
    declared = {port["containerPort"]: port["name"] for port in container_of(pod)["ports"]}
    assert declared.keys() == listened_ports(settings, component).keys()
    if component != "decision":
        return
    host = f"[{IPV6}]" if pod_ip(name) == IPV6 else IPV4
    assert settings.control_address == settings.control_listen == f"{host}:7444"


def covered(rule: dict[str, Any]) -> set[int]:
    """The TCP ports of a rule."""
    return {
        number
        for port in rule["ports"]
        if port["protocol"] == "TCP"
        for number in range(port["port"], port.get("endPort", port["port"]) + 1)
    }


def components_of(peers: list[dict[str, Any]]) -> set[str]:
    """The components of this release that are among peers."""
    labels = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in peers]
    return {
        found["app.kubernetes.io/component"]
        for found in labels
        if "app.kubernetes.io/component" in found
    }


policed_sets = pytest.mark.parametrize(
    "name", [name for name in VALUE_SETS if name != "external-secrets"]
)


@policed_sets
@pytest.mark.parametrize("component", SERVERS)
def test_every_port_is_open_to_whom_it_is_for(name: str, component: str, tmp_path: Path) -> None:
    """Clients' to named clients, control ports to writers and workers; none to everybody.

    Metrics are scraped by whom the values name, which is nobody by default.
    """
    result = rendered_set(name)
    pod = dict(result.pods())[component]
    ports = listened_ports(settings_of(result, pod, pod_ip(name), tmp_path), component)
    policy = result.one("NetworkPolicy", component)["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    opened: dict[str, set[int]] = {purpose: set() for purpose in set(ports.values())}
    for rule in policy["ingress"] or []:
        assert rule["from"], "a rule without peers is for everybody"
        (purpose,) = {ports[number] for number in covered(rule)}
        opened[purpose] |= covered(rule)
        tellers = {"writer", "worker"} if purpose == "control" else set()
        assert components_of(rule["from"]) == tellers
    for number, purpose in ports.items():
        # Kubernetes lets a node reach its pods, by which probes come.
        is_open = {
            "health": bool(values_of(name).get("networkPolicy", {}).get("probes")),
            "metrics": bool(values_of(name).get("metrics", {}).get("scrapers")),
        }
        assert (number in opened[purpose]) is is_open.get(purpose, True)


@policed_sets
def test_pods_reach_what_they_need_and_nothing_else(name: str) -> None:
    """Name servers, stores, and for writers and workers the control ports."""
    result = rendered_set(name)
    values = values_of(name)
    postgresql = {values["postgresql"].get("port", 5432)}
    redis = set(values["redis"].get("ports", [6379]))
    control = {7444 + number for number in range(values.get("decision", {}).get("processes", 1))}
    extra = {443} if name == "everything" else set()
    servers = {53} | postgresql | redis | extra
    expected = {
        "decision": servers,
        "writer": servers | control,
        "worker": servers | control,
        "migration": {53} | postgresql,
    }
    for component, numbers in expected.items():
        policy = result.one("NetworkPolicy", component)["spec"]
        assert "Egress" in policy["policyTypes"]
        rules = policy["egress"]
        assert set().union(*(covered(rule) for rule in rules)) == numbers, component
        for rule in rules:
            if covered(rule) <= control:
                assert components_of(rule["to"]) == {"decision"}
            if covered(rule) == postgresql:
                assert rule.get("to", []) == values["postgresql"].get("peers", [])
    assert result.one("NetworkPolicy", "migration")["spec"]["ingress"] == []


def test_an_ingress_controller_is_let_in() -> None:
    """Only where there is an ingress, and only to what is behind it."""
    result = rendered_set("everything")
    controllers = values_of("everything")["ingress"]["controllers"]

    def lets_in(component: str) -> bool:
        rules = result.one("NetworkPolicy", component)["spec"]["ingress"] or []
        return any(controllers[0] in rule["from"] for rule in rules)

    assert [lets_in(component) for component in SERVERS] == [True, False, False]


def test_bulk_processes_do_not_follow_the_nodes_cores() -> None:
    """By default there is one for each core that is seen, which in a pod is the whole node's."""
    result = rendered_set("smallest")
    for component, pod in result.pods():
        environment = environment_of_pod(result, pod, IPV4)
        has_bulk_work = component in {"writer", "worker"}
        assert ("MAYWE_BULK_PROCESSES" in environment) is has_bulk_work


def test_the_connections_that_postgresql_has_to_hold_are_stated() -> None:
    """As the code opens them at most: for work, for checks, for leases."""
    checks = READS_IN_FLIGHT_MAX + CONNECTIONS_BESIDE_READS
    server = POOL_CONNECTIONS_MAX + checks + LEASE_CONNECTIONS
    text = " ".join((CHART / "README.md").read_text(encoding="utf-8").split())
    assert (
        f"at most {server + LEASE_CONNECTIONS} connections for each decision process, "
        f"{server} for each process of a writer or worker, and {CONNECTIONS} for each bulk process"
    ) in text
