"""What the chart gives a pod makes a server: started with just that, probed and ended like one."""

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
from tests.deployment.chart import container_of, environment_of_pod, merged, rendered, values_of
from tests.deployment.test_chart_settings import AWAITED

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs loopback addresses at will"),
]

SECONDS_MAX: Final = 100
"""A bound against hanging; not a performance claim."""

ADDRESSES: Final = {"decision": "127.83.7.1", "writer": "127.83.7.2", "worker": "127.83.7.3"}
"""Addresses of loopback in place of a pod's own, so that the ports are the chart's."""


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
    """With two processes where there may be several; callers are not known on loopback."""
    changes = {
        "settings": {"MAYWE_REDIS_NAMESPACE": redis_namespace},
        "decision": {"processes": 2},
        "writer": {"processes": 2},
        "shutdown": {"drainSeconds": 0, "graceSeconds": 5},
    }
    result = rendered(merged(values_of("smallest"), changes))
    pod = dict(result.pods())[component]
    address = ADDRESSES[component]
    for store, url in {"postgresql": database_url, "redis": redis_url}.items():
        (tmp_path / store).mkdir()
        (tmp_path / store / "url").write_text(url)
    given = {
        name: value.replace("/run/maywe", str(tmp_path))
        .replace("0.0.0.0", address)  # noqa: S104 - what is replaced
        .replace("127.0.0.1", address)
        for name, value in environment_of_pod(result, pod, address).items()
        if name not in AWAITED
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
            process.send_signal(signal.SIGTERM)
            waits = pod["spec"]["terminationGracePeriodSeconds"]
            assert process.wait(waits) == 0
        finally:
            process.kill()
