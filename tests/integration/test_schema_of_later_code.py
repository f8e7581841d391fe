"""Code of before on a database that later code has migrated, as while servers are replaced."""

from pathlib import Path
from typing import Final

import pytest
from maywe.v1 import common_pb2, decision_pb2, event_pb2
from sqlalchemy import Engine, insert, text, update
from sqlalchemy.sql.expression import column, table

from service.settings import Settings
from service.stores import NotMigratedError, migrate, open_stores
from store import migrations
from store.database import open_engine
from store.schema import schema_step
from tests.running import running_maywe, settings_for

pytestmark = pytest.mark.integration

DOCUMENT: Final = {
    "zone": "UTC",
    "purposes": [{"code": "survey", "name": "Surveys"}],
    "channels": [{"code": "phone", "name": "Telephone"}],
}
VERSIONS: Final = Path(migrations.__file__).parent / "versions"
_VERSION: Final = table("alembic_version", column("version_num"))


def migrate_further(engine: Engine, *names: str) -> None:
    """Take steps that our code does not know, as later code would; the first one changes tables."""
    with engine.begin() as connection:
        for number, name in enumerate(names, start=9001):
            step = {"number": number, "revision": str(number), "name": name}
            connection.execute(insert(schema_step), step)
            connection.execute(update(_VERSION).values(version_num=str(number)))
        connection.execute(text("ALTER TABLE event ADD COLUMN later text"))
        connection.execute(text("CREATE TABLE later (number bigint PRIMARY KEY)"))


@pytest.fixture
def settings(database_url: str, redis_url: str, redis_namespace: str) -> Settings:
    """Settings for a migrated database."""
    return settings_for(database_url, redis_url, redis_namespace)


def further(settings: Settings, *names: str) -> None:
    """Migrate the database of some settings further."""
    engine = open_engine(settings.postgres_url)
    migrate_further(engine, *names)
    engine.dispose()


def test_it_starts_records_and_answers(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """On steps that it survives: a pod of before that is restarted comes back."""
    settings = settings_for(database_url, redis_url, redis_namespace)
    further(settings, "before_9001_later", "before_9002_more")
    with running_maywe(database_url, redis_url, redis_namespace) as maywe:
        maywe.publish(DOCUMENT)
        revocation = event_pb2.RevokeRequest(
            event_id="e-1", customer_id="anna", selector=common_pb2.Selector(all=True)
        )
        revocation.revoked_at.GetCurrentTime()
        revoked = maywe.client.writer.Revoke(revocation)
        assert not revoked.acknowledgement.repeat
        answer = maywe.client.decision.MayContact(
            decision_pb2.MayContactRequest(customer_id="anna", channel="phone", purpose="survey")
        )
        assert answer.decision_id


@pytest.mark.parametrize("names", [["alone_9001_later"], ["before_9001_a", "after_9002_b"]])
def test_it_does_not_start_on_steps_that_it_does_not_survive(
    settings: Settings, names: list[str]
) -> None:
    """One among several is enough; and it does not say to migrate, which would help nobody."""
    further(settings, *names)
    with pytest.raises(NotMigratedError, match="later version"), open_stores(settings):
        pass
    with pytest.raises(NotMigratedError, match="later version"):
        migrate(settings)


def test_its_migration_has_nothing_to_do(settings: Settings) -> None:
    """As when an upgrade is taken back whose steps it survives."""
    further(settings, "before_9001_later")
    assert migrate(settings) is False


def test_a_schema_that_says_nothing_of_its_steps_is_refused(settings: Settings) -> None:
    """Whatever it is, it is not known to be survived."""
    engine = open_engine(settings.postgres_url)
    with engine.begin() as connection:
        connection.execute(update(_VERSION).values(version_num="9001"))
    with engine.connect() as connection:
        assert not migrations.is_usable(connection)
    engine.dispose()


def test_every_step_is_written_down(engine: Engine) -> None:
    """By the names that say who survives them, in their order."""
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT name FROM schema_step ORDER BY number")).all()
    assert names[:3] == ["before_0001_ledger", "before_0002_leases", "alone_0003_compact_records"]
    assert set(names) == {path.stem for path in VERSIONS.glob("[a-z]*_0*.py")}
