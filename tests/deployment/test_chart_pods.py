"""What the chart's pods are: whom they run as, what they may, how they are asked and ended."""

import re
from typing import Final

import pytest

from service.cli.main import COMMANDS, main
from service.processes import KILLED_SECONDS_MAX
from service.several import STOP_SECONDS_RESERVE
from tests.deployment.chart import (
    VALUE_SETS,
    Rendered,
    component_of,
    container_of,
    merged,
    rendered,
    rendered_set,
    values_of,
)

SERVERS: Final = ("decision", "writer", "worker")
HEALTH_PORT: Final = 7442
SCRATCH: Final = "/tmp"  # noqa: S108 - a volume of each pod's own
MEBIBYTES: Final = {"Mi": 1, "Gi": 1024}

every_set = pytest.mark.parametrize("name", VALUE_SETS)


def mebibytes(quantity: str) -> float:
    """A quantity of memory."""
    return float(quantity[:-2]) * MEBIBYTES[quantity[-2:]]


@every_set
def test_pods_may_do_nothing_that_they_need_not(name: str) -> None:
    """No root, no capability, nothing to write on but a small /tmp, no token, no host."""
    for _, pod in rendered_set(name).pods():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["runAsGroup"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container_of(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("secret" in volume or "emptyDir" in volume for volume in spec["volumes"])
        mounts = container_of(pod)["volumeMounts"]
        assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == [SCRATCH]
        (scratch,) = [volume for volume in spec["volumes"] if "emptyDir" in volume]
        assert mebibytes(scratch["emptyDir"]["sizeLimit"]) <= 64


@every_set
def test_kubernetes_is_asked_for_nothing(name: str) -> None:
    """No roles, and accounts without tokens; who is given an account brings it."""
    result = rendered_set(name)
    kinds = {resource["kind"] for resource in result.resources}
    assert kinds.isdisjoint({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Secret"})
    accounts = {account["metadata"]["name"] for account in result.of_kind("ServiceAccount")}
    for account in result.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    used = {pod["spec"]["serviceAccountName"] for _, pod in result.pods()}
    assert used == (accounts or {"maywe-vault"})


@every_set
def test_secrets_come_as_files(name: str) -> None:
    """None is in the environment, which an inspected pod shows."""
    for _, pod in rendered_set(name).pods():
        container = container_of(pod)
        for entry in container["env"]:
            assert "secretKeyRef" not in entry.get("valueFrom", {})
            assert "://" not in entry.get("value", "https://").removeprefix("https://")
        assert all("secretRef" not in source for source in container.get("envFrom", []))
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


@every_set
def test_every_container_has_requests_and_a_bound_of_memory(name: str) -> None:
    """One pod can not take a node's memory, and each is placed where there is room for it."""
    for _, pod in rendered_set(name).pods():
        resources = container_of(pod)["resources"]
        requests, limits = resources["requests"], resources["limits"]
        assert {"cpu", "memory"} <= requests.keys()
        assert mebibytes(limits["memory"]) >= mebibytes(requests["memory"])


@every_set
def test_the_image_is_one_certain_one(name: str) -> None:
    """With a tag that is not the latest, or a digest; the same for all."""
    images = {container_of(pod)["image"] for _, pod in rendered_set(name).pods()}
    (image,) = images
    assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", image.rpartition("/")[2])
    assert not image.endswith(":latest")


@every_set
def test_every_server_is_probed_by_grpc(name: str) -> None:
    """At the port for health, that it starts, is ready and lives; a job ends by itself."""
    for component, pod in rendered_set(name).pods():
        container = container_of(pod)
        names = {"startupProbe", "readinessProbe", "livenessProbe"}
        if component == "migration":
            assert names.isdisjoint(container)
            continue
        probes = [container[probe] for probe in sorted(names)]
        assert [probe["grpc"] for probe in probes] == [{"port": HEALTH_PORT}] * 3
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert environment["MAYWE_HEALTH_LISTEN"].endswith(f":{HEALTH_PORT}")


@every_set
def test_no_server_is_killed_while_it_ends_in_order(name: str) -> None:
    """Its drain, its grace and what its children may take fit into what Kubernetes waits."""
    for component, pod in rendered_set(name).pods():
        if component == "migration":
            continue
        environment = {entry["name"]: entry.get("value", "") for entry in container_of(pod)["env"]}
        drain = float(environment["MAYWE_SHUTDOWN_DRAIN_SECONDS"])
        grace = float(environment["MAYWE_SHUTDOWN_GRACE_SECONDS"])
        needed = drain + grace + STOP_SECONDS_RESERVE + KILLED_SECONDS_MAX
        assert pod["spec"]["terminationGracePeriodSeconds"] > needed


@every_set
def test_every_pod_runs_a_command_that_there_is(name: str) -> None:
    """With options that it has."""
    for component, pod in rendered_set(name).pods():
        words = container_of(pod)["args"]
        assert words[0] in COMMANDS
        with main.make_context("maywe", list(words), resilient_parsing=True) as context:
            command = main.get_command(context, words[0])
            assert command is not None
        if component == "migration":
            options = {name for parameter in command.params for name in parameter.opts}
            assert set(words[1:]) <= options
        else:
            assert words == ["serve", component]
            assert component in getattr(command, "commands", {})


@every_set
def test_selectors_find_the_pods_of_their_component_only(name: str) -> None:
    """Of services, budgets, policies and deployments; the scaler names its deployment."""
    result = rendered_set(name)
    pods = {component: pod["metadata"]["labels"] for component, pod in result.pods()}
    for resource in result.resources:
        spec = resource.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if not selector or resource["kind"] == "PodMonitor":
            # A monitor is of all servers together (test_chart_monitoring).
            continue
        wanted = selector.get("matchLabels", selector)
        found = {
            component for component, labels in pods.items() if wanted.items() <= labels.items()
        }
        assert found == {component_of(resource)}, resource["metadata"]["name"]
    for scaler in result.of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        assert target == result.one("Deployment", "decision")["metadata"]["name"]


@every_set
@pytest.mark.parametrize("component", SERVERS)
def test_servers_are_spread_and_not_all_taken_away_at_once(name: str, component: str) -> None:
    """Over zones and nodes; a node that is emptied takes one at a time, a new version none."""
    result = rendered_set(name)
    deployment = result.one("Deployment", component)
    constraints = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    for constraint in constraints:
        assert constraint["labelSelector"] == deployment["spec"]["selector"]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert result.one("PodDisruptionBudget", component)["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("component", ["decision", "writer"])
def test_clients_see_every_pod(component: str) -> None:
    """A headless service: gRPC balances over what the name stands for."""
    spec = rendered_set("smallest").one("Service", component)["spec"]
    assert spec["clusterIP"] == "None"
    assert not spec.get("publishNotReadyAddresses", False)


def replicas(result: Rendered) -> dict[str, int | None]:
    """How many pods of each component there shall be; None where something else says so."""
    return {
        component: result.one("Deployment", component)["spec"].get("replicas")
        for component in SERVERS
    }


def test_decision_servers_are_scaled_between_bounds() -> None:
    """The scaler alone says how many: an upgrade must not set them back."""
    result = rendered_set("everything")
    assert replicas(result) == {"decision": None, "writer": 3, "worker": 3}
    (scaler,) = result.of_kind("HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (4, 20)
    fixed = rendered_set("external-secrets")
    assert fixed.of_kind("HorizontalPodAutoscaler") == []
    assert replicas(fixed)["decision"] == 3


def test_bounds_of_scaling_are_never_crossed() -> None:
    """More pods asked for than the scaler's most: as many as are asked for."""
    changes = {"decision": {"replicas": 30}}
    (scaler,) = rendered(merged(values_of("smallest"), changes)).of_kind("HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (30, 30)


def test_a_standstill_stops_everything() -> None:
    """Nothing scales it up again; what it was reached by stays."""
    result = rendered_set("stopped")
    assert set(replicas(result).values()) == {0}
    assert result.of_kind("HorizontalPodAutoscaler") == []
    assert len(result.of_kind("Service")) == 2


def test_the_schema_is_migrated_before_anything_else() -> None:
    """What the job needs comes before it, as nothing of a first release is there yet."""
    result = rendered_set("smallest")
    hooks = [
        resource
        for resource in result.resources
        if "helm.sh/hook" in resource["metadata"].get("annotations", {})
    ]
    weights = {}
    for resource in hooks:
        annotations = resource["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        # One that failed is left, for its log, until the next try.
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        weights[resource["kind"]] = int(annotations["helm.sh/hook-weight"])
    assert weights.keys() == {"Job", "NetworkPolicy", "ServiceAccount"}
    assert max(weights, key=lambda kind: weights[kind]) == "Job"
    assert {component_of(resource) for resource in hooks} == {"migration"}
    pod = result.one("Job", "migration")["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    own = {resource["metadata"]["name"] for resource in hooks}
    assert pod["serviceAccountName"] in own
    sources = container_of({"spec": pod}).get("envFrom", [])
    assert sources == [], "the settings of a first release are not there yet"


def test_steps_that_need_a_standstill_are_taken_only_when_told() -> None:
    """`maywe migrate` itself refuses them otherwise, and what runs goes on."""

    def words(changes: dict[str, object]) -> list[str]:
        job = rendered(merged(values_of("smallest"), changes)).one("Job", "migration")
        found: list[str] = container_of(job["spec"]["template"])["args"]
        return found

    assert words({}) == ["migrate"]
    assert words({"migration": {"alone": True}}) == ["migrate", "--alone"]
    assert rendered_set("external-secrets").of_kind("Job") == []


def test_an_ingress_is_off_and_has_tls_where_it_is_on() -> None:
    """It leads to a service that there is."""
    assert rendered_set("smallest").of_kind("Ingress") == []
    result = rendered_set("everything")
    (ingress,) = result.of_kind("Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    service = result.one("Service", "decision")
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert ingress["spec"]["tls"] == [
        {"hosts": [rule["host"]], "secretName": "decisions-certificate"}
    ]
