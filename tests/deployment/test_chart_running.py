"""What the chart gives a pod makes a server: started with just that, probed, asked, and ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import create_engine, select

from store.schema import lease
from tests.access import ended_with
from tests.authority import CertificateAuthority, Pair
from tests.deployment.chart import container_of, environment_of_pod, merged, rendered, values_of
from tests.metrics import scrape

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs loopback addresses at will"),
]

SECONDS_MAX: Final = 100
"""A bound against hanging; not a performance claim."""

ADDRESSES: Final = {"decision": "127.83.7.1", "writer": "127.83.7.2", "worker": "127.83.7.3"}
"""Addresses of loopback in place of a pod's own, so that the ports are the chart's."""


CALLERS: Final = """
callers:
  - {name: asker, certificate: {dns: asker.example}, roles: [decision.read, writer]}
"""

ASKED: Final = {
    "decision": "/maywe.v1.DecisionService/MayContact",
    "writer": "/maywe.v1.WriterService/Revoke",
}
"""A call of each server that clients call."""


def write_secrets(directory: Path, address: str, urls: dict[str, str]) -> Pair:
    """Write what the secrets of the set hold, where volumes would be; gives a client's pair."""
    authority = CertificateAuthority(directory)
    server = authority.issue("server", addresses=[address])
    control = authority.issue("control", dns=["maywe-control"])
    certificates = {"certificate": server, "control": control}
    files: dict[str, str | Path] = {
        "client-ca/ca.crt": authority.file,
        "control/ca.crt": authority.file,
        "callers/callers.yaml": CALLERS,
        **{f"{volume}/tls.crt": pair.certificate for volume, pair in certificates.items()},
        **{f"{volume}/tls.key": pair.key for volume, pair in certificates.items()},
        **{f"{store}/url": url for store, url in urls.items()},
    }
    for name, content in files.items():
        place = directory / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(content if isinstance(content, str) else content.read_text())
    return authority.issue("asker", dns=["asker.example"])


def status_of(address: str, method: str, directory: Path, pair: Pair | None) -> grpc.StatusCode:
    """What a client that has a certificate, or none, is answered."""
    credentials = grpc.ssl_channel_credentials(
        (directory / "client-ca" / "ca.crt").read_bytes(),
        pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None,
    )
    # Connections of its own, or the one with a certificate would serve both.
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(address, credentials, options) as channel:
        return ended_with(channel, method)


def is_serving(address: str) -> bool:
    """What a kubelet finds."""
    with grpc.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("component", ADDRESSES)
def test_a_pod_starts_is_probed_and_ends_in_order(
    component: str, database_url: str, redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    """With two processes where there may be several, and credentials as its secrets hold them.

    Its metrics are told at one port, whatever the processes.
    """
    changes = {
        "settings": {"MAYWE_REDIS_NAMESPACE": redis_namespace},
        "decision": {"processes": 2},
        "writer": {"processes": 2},
        "shutdown": {"drainSeconds": 0, "graceSeconds": 5},
    }
    result = rendered(merged(values_of("smallest"), changes))
    pod = dict(result.pods())[component]
    address = ADDRESSES[component]
    pair = write_secrets(tmp_path, address, {"postgresql": database_url, "redis": redis_url})
    given = {
        name: value.replace("/run/maywe", str(tmp_path))
        .replace("0.0.0.0", address)  # noqa: S104 - what is replaced
        .replace("127.0.0.1", address)
        for name, value in environment_of_pod(result, pod, address).items()
    }
    (probe,) = {
        container_of(pod)[kind]["grpc"]["port"] for kind in ("startupProbe", "livenessProbe")
    }
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", *container_of(pod)["args"]],
        env={"PATH": os.environ["PATH"], **given},
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            deadline = time.monotonic() + SECONDS_MAX
            while not is_serving(f"{address}:{probe}"):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            if component == "decision":
                engine = create_engine(database_url)
                with engine.connect() as connection:
                    told = set(connection.scalars(select(lease.c.control_address)))
                engine.dispose()
                assert told <= {f"{address}:7444", f"{address}:7445"}
                assert told
            if (method := ASKED.get(component)) is not None:
                clients = f"{address}:7443"
                known = status_of(clients, method, tmp_path, pair)
                assert known is grpc.StatusCode.INVALID_ARGUMENT
                unknown = status_of(clients, method, tmp_path, None)
                assert unknown is grpc.StatusCode.UNAVAILABLE
            processes = 1 if component == "worker" else 2
            assert scrape(f"{address}:7441").value("maywe_processes") == processes
            process.send_signal(signal.SIGTERM)
            waits = pod["spec"]["terminationGracePeriodSeconds"]
            assert process.wait(waits) == 0
        finally:
            process.kill()
