"""Settings: flags before the environment, that before defaults; secrets never shown."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.setting_table import SETTINGS
from service.settings import (
    SettingsError,
    child_settings,
    read_settings,
    refuse_secrets_in,
    shown_settings,
)

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


def test_postgresql_alone_is_enough_where_redis_is_not_asked() -> None:
    """Redis alone never is: embedded servers would be started beside it."""
    postgresql = {**DEFAULTS, "postgres_url": "postgresql://h/d"}
    with pytest.raises(SettingsError, match="give both"):
        read_settings(postgresql, {})
    assert not read_settings(postgresql, {}, is_redis_needed=False).uses_embedded_servers
    with pytest.raises(SettingsError, match="give both"):
        read_settings({**DEFAULTS, "redis_url": "redis://h"}, {}, is_redis_needed=False)


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


def test_another_process_reads_the_same_settings_and_no_secret_from_its_environment(
    tmp_path: Path,
) -> None:
    """Nothing is masked there and nothing rounded; what is secret it has from files."""
    flags = DEFAULTS | {
        "postgres_url": "postgresql://u:secret@h/d",
        "redis_url": "redis://:secret@h",
        "lease_seconds": "1.23456789",
    }
    settings = read_settings(flags, {})
    ours = {"MAYWE_REDIS_URL": "redis://:secret@h", "MAYWE_POSTGRES_URL_FILE": "/a", "PATH": "/bin"}
    child = child_settings(settings, ours)
    assert "secret" not in str(child.environment)
    assert child.environment["PATH"] == "/bin"
    files = {}
    for variable, text in child.secrets.items():
        file = tmp_path / variable
        file.write_text(text)
        files[variable] = str(file)
    assert read_settings({}, {**child.environment, **files}) == settings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("postgres_url", "postgresql://u:secret@h/d"),
        ("postgres_url", "postgresql://u@h/d?password=secret"),
        ("redis_url", "redis://:secret@h"),
        ("redis_url", "unix:///run/redis.sock?password=secret"),
    ],
)
def test_a_password_on_the_command_line_is_refused(name: str, text: str) -> None:
    """Everybody who lists processes would read it; the refusal does not show it either."""
    with pytest.raises(SettingsError, match=f"MAYWE_{name.upper()}_FILE") as refused:
        refuse_secrets_in({name: text})
    assert "secret" not in str(refused.value)


def test_a_url_without_a_password_may_stand_on_the_command_line() -> None:
    """Whose socket or certificate says who we are."""
    refuse_secrets_in(
        {
            "postgres_url": "postgresql://maywe@/maywe?host=%2Frun%2Fpostgres&port=5432",
            "redis_url": "redis://h:6379/0",
            "token_issuer": "https://a:b@c",
        }
    )


_AWKWARD: Final = st.text(st.characters(codec="utf-8"), max_size=6)


@given(
    st.sampled_from(["postgresql", "redis", "rediss+cluster", "unix", "http", "https", ""]),
    st.sampled_from(["postgres_url", "redis_url"]),
    _AWKWARD,
    _AWKWARD,
    _AWKWARD,
)
@example("redis", "redis_url", "\u2100", "", "")
@example("redis", "redis_url", "", "", "[")
def test_no_fault_of_a_url_quotes_what_may_be_a_password(
    scheme: str, name: str, before: str, after: str, host: str
) -> None:
    """Wherever the fault is: libraries quote what they can not read."""
    secret = "hunter2"  # noqa: S105 - nobody's
    others = {"postgres_url": "postgresql://h/d", "redis_url": "redis://h"}
    for text in (
        f"{scheme}://user:{before}{secret}{after}@{host}/x",
        f"{scheme}://{host}:{before}{secret}{after}/x",
        f"{scheme}:{before}{secret}{after}",
    ):
        assert secret not in _told_of(DEFAULTS | others | {name: text})


def _told_of(flags: dict[str, str]) -> str:
    """What is told of settings: how they are shown, or what is wrong with them."""
    try:
        return repr(read_settings(flags, {}))
    except SettingsError as error:
        return f"{error} {error.__cause__!r}"


def test_the_url_of_the_keys_has_no_login() -> None:
    """It is shown in logs, as what is public may be."""
    with pytest.raises(SettingsError, match="without a login") as refused:
        read_settings(DEFAULTS | {"token_keys": "https://us:hunter2@issuer.example/keys"}, {})
    assert "hunter2" not in str(refused.value)


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
