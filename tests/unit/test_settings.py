"""Settings: flags before the environment, that before defaults; secrets never shown."""

from pathlib import Path

import pytest

from service.setting_table import SETTINGS
from service.settings import SettingsError, environment_of, read_settings, shown_settings

DEFAULTS = {"data_directory": "/data"}


def test_a_flag_goes_before_the_environment_and_that_before_the_default() -> None:
    """An empty variable counts as not set."""
    environment = {
        "MAYWE_LISTEN": "0.0.0.0:1",
        "MAYWE_REDIS_NAMESPACE": "bank",
        "MAYWE_DURABLE": "",
    }
    settings = read_settings({**DEFAULTS, "listen": "127.0.0.1:2"}, environment)
    assert settings.listen == "127.0.0.1:2"
    assert settings.redis_namespace == "bank"
    assert settings.is_durable
    assert settings.data_directory == Path("/data")


def test_without_addresses_the_servers_are_embedded() -> None:
    """With both they are not."""
    assert read_settings(DEFAULTS, {}).uses_embedded_servers
    named = {"postgres_url": "postgresql://h/d", "redis_url": "redis://h"}
    assert not read_settings({**DEFAULTS, **named}, {}).uses_embedded_servers


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg(scheme: str) -> None:
    """Whichever of its names the URL has."""
    flags = {**DEFAULTS, "postgres_url": f"{scheme}://u:p@h:1/d", "redis_url": "redis://h"}
    assert read_settings(flags, {}).postgres_url == "postgresql+psycopg://u:p@h:1/d"


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("postgres_url", "mysql://h/d", "--postgres-url"),
        ("postgres_url", "h:5432", "--postgres-url"),
        ("postgres_url", "postgresql://h/d", "--redis-url"),
        ("redis_url", "http://h", "--redis-url"),
        ("redis_namespace", "a{b}", "--redis-namespace"),
        ("listen", "7443", "--listen"),
        ("listen", "host:70000", "--listen"),
        ("is_durable", "yes", "--durable"),
        ("shutdown_grace_seconds", "-1", "--shutdown-grace-seconds"),
        ("shutdown_grace_seconds", "nan", "--shutdown-grace-seconds"),
        ("log_level", "loud", "--log-level"),
    ],
)
def test_a_wrong_setting_is_named(name: str, text: str, where: str) -> None:
    """With what would be right."""
    with pytest.raises(SettingsError, match=where):
        read_settings({**DEFAULTS, name: text}, {})


def test_a_wrong_variable_is_named() -> None:
    """As the variable that it is."""
    with pytest.raises(SettingsError, match="MAYWE_LISTEN"):
        read_settings(DEFAULTS, {"MAYWE_LISTEN": "nowhere"})


def test_what_is_shown_hides_every_secret() -> None:
    """Passwords in the login and in parameters."""
    flags = {
        **DEFAULTS,
        "postgres_url": "postgresql://user:hidden1@h/d?sslpassword=hidden2&application_name=x",
        "redis_url": "redis://:hidden3@h/0?password=hidden4",
    }
    shown = shown_settings(read_settings(flags, {}))
    assert shown.keys() == {setting.variable for setting in SETTINGS}
    assert "hidden" not in str(shown)
    assert "application_name=x" in shown["MAYWE_POSTGRES_URL"]


def test_what_is_shown_can_be_read_again() -> None:
    """Every text is one that the setting takes."""
    settings = read_settings(DEFAULTS, {})
    assert read_settings({}, shown_settings(settings)) == settings


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])  # noqa: S104 - what is refused
def test_an_address_that_nobody_can_reach_is_not_told_to_writers(host: str) -> None:
    """Listening everywhere says nothing about where writers find the process."""
    flags = {"control_listen": f"{host}:7444"}
    with pytest.raises(SettingsError, match="--control-address"):
        read_settings(flags, {})
    named = read_settings(flags | {"control_address": "decision-1.internal:7444"}, {})
    assert named.control_address == "decision-1.internal:7444"


def test_a_lease_has_to_be_renewed_while_it_lasts() -> None:
    """A renewal that comes too late would lose the lease again and again."""
    with pytest.raises(SettingsError, match="--lease-renewal-seconds"):
        read_settings({"lease_seconds": "1", "lease_renewal_seconds": "0.6"}, {})


def test_another_process_reads_the_same_settings_from_the_environment() -> None:
    """Nothing is masked there and nothing rounded."""
    flags = DEFAULTS | {
        "postgres_url": "postgresql://u:secret@h/d",
        "redis_url": "redis://:secret@h",
        "lease_seconds": "1.23456789",
    }
    settings = read_settings(flags, {})
    assert read_settings({}, environment_of(settings)) == settings


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """Editors end it with a line feed; what is given itself goes before it."""
    file = tmp_path / "url"
    file.write_text("redis://:secret@in-file\n")
    environment = {"MAYWE_REDIS_URL_FILE": str(file), "MAYWE_POSTGRES_URL": "postgresql://h/d"}
    assert read_settings(DEFAULTS, environment).redis_url == "redis://:secret@in-file"
    itself = environment | {"MAYWE_REDIS_URL": "redis://itself"}
    assert read_settings(DEFAULTS, itself).redis_url == "redis://itself"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff secret", b"secret://h"])
def test_a_file_that_holds_no_such_secret_is_named(tmp_path: Path, content: bytes | None) -> None:
    """And is never taken for none at all, nor what is in it told."""
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    environment = {"MAYWE_REDIS_URL_FILE": str(file), "MAYWE_POSTGRES_URL": "postgresql://h/d"}
    with pytest.raises(SettingsError, match="MAYWE_REDIS_URL_FILE") as raised:
        read_settings(DEFAULTS, environment)
    assert "secret" not in str(raised.value)


def test_only_secrets_have_files() -> None:
    """Everything else may be seen where a deployment is described."""
    assert [setting.file_variable for setting in SETTINGS if setting.is_secret] == [
        "MAYWE_POSTGRES_URL_FILE",
        "MAYWE_REDIS_URL_FILE",
    ]
    ignored = {"MAYWE_LISTEN_FILE": "/nowhere", "": "/nowhere"}
    assert read_settings(DEFAULTS, ignored) == read_settings(DEFAULTS, {})
