"""The commands that ask servers: answers, statuses, JSON, and one-line errors."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from service.client import DEFAULT_ADDRESS
from service.settings import read_settings
from service.starter import STARTER_CATALOG_PATH
from tests.integration.command_line import one_line, run
from tests.integration.service_builders import catalog, consent, purchase
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

LONG_CUSTOMER_ID = "customer-" + "9" * 119
SMS = ("--channel", "sms", "--purpose", "advertising")


@pytest.fixture
def bank(maywe: RunningMaywe) -> RunningMaywe:
    """A system in which ivan has consented to marketing for ever and a day."""
    maywe.publish(catalog())
    request = consent()
    request.expires_at.FromJsonString("2099-01-01T00:00:00Z")
    maywe.client.writer.RecordConsent(request)
    maywe.wait_until_projected()
    return maywe


def document_path(directory: Path, **replaced: object) -> str:
    """Write a catalog document and give its path."""
    path = directory / "catalog.json"
    path.write_text(json.dumps(catalog(**replaced)), encoding="utf-8")
    return str(path)


def test_the_default_address_is_the_servers() -> None:
    """Commands ask where `maywe serve` listens when neither is told otherwise."""
    assert read_settings({}, {}).listen == DEFAULT_ADDRESS


def test_allowed_ends_with_status_0(bank: RunningMaywe) -> None:
    """A check that is allowed says so, with its basis and the channels to use."""
    finished = run("check", "contact", "ivan", *SMS, address=bank.address)
    assert finished.status == 0
    assert finished.out.startswith("ALLOW  sms for advertising to ivan\n")
    assert "marketing/1, obtained 2024-05-01 00:00:00Z, ends 2099-01-01" in finished.out
    assert "phone, sms" in finished.out


def test_denied_ends_with_status_1(bank: RunningMaywe) -> None:
    """A check that is denied says why; an unknown customer is denied like any other."""
    finished = run("check", "contact", "nobody", *SMS, address=bank.address)
    assert finished.status == 1
    assert finished.out.startswith("DENY")
    assert "UNKNOWN_CUSTOMER: no event names this customer" in finished.out


def test_no_server_ends_with_status_2_and_says_what_to_do() -> None:
    """Where nobody listens a check is not known, in one line with the address and a command."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        finished = run("check", "contact", "ivan", *SMS, address=address)
    assert finished.status == 2
    assert address in one_line(finished)
    assert "maywe serve all" in one_line(finished)


def test_a_server_that_never_answers_ends_with_status_2() -> None:
    """The time limit holds for every call, and the error names the option that allows more."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        finished = run(
            "check", "contact", "ivan", *SMS, "--timeout-seconds", "0.2", address=address
        )
    assert finished.status == 2
    assert "--timeout-seconds" in one_line(finished)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "contact", "ivan", "--channel", "sms"), "--purpose"),
        (("check", "contact", "ivan", *SMS, "--at", "yesterday"), "2026-03-01"),
        (("check", "contact", "ivan", *SMS, "--at", "2026-02-30"), "2026-03-01"),
        (("check", "contact", "ivan", *SMS, "--address", "nowhere"), "HOST:PORT"),
        (("check", "contact", "ivan", *SMS, "--timeout-seconds", "0"), "--timeout-seconds"),
        (("revoke", "ivan"), "--all"),
        (("explain", "contac"), "contac"),
        (("import", "no-such-file", "--mapping", "no-such.yaml"), "no-such.yaml"),
    ],
)
def test_a_wrong_command_line_ends_with_status_64(arguments: tuple[str, ...], said: str) -> None:
    """What is wrong is named, and it never passes for a denial."""
    finished = run(*arguments)
    assert finished.status == 64
    assert said in finished.err
    assert "Traceback" not in finished.err


def test_an_unknown_code_ends_with_status_64_and_names_the_field(bank: RunningMaywe) -> None:
    """The server's complaint about an argument becomes one line."""
    finished = run(
        *("check", "contact", "ivan", "--channel", "pigeon", "--purpose", "advertising"),
        address=bank.address,
    )
    assert finished.status == 64
    assert "channel" in one_line(finished)
    assert "pigeon" in one_line(finished)


def test_a_share_is_allowed_only_as_a_whole(bank: RunningMaywe) -> None:
    """The status follows the verdict over all data sets, and the table tells them apart."""
    allowed = run(
        *("check", "share", "ivan", "--partner", "acme"),
        *("--dataset", "contacts", "--purpose", "advertising"),
        address=bank.address,
    )
    assert allowed.status == 0
    assert allowed.columns("data set") == ["contacts"]
    denied = run(
        *("check", "share", "ivan", "--partner", "acme"),
        *("--dataset", "contacts", "--purpose", "service"),
        address=bank.address,
    )
    assert denied.status == 1


def test_json_has_the_names_of_the_protocol(bank: RunningMaywe) -> None:
    """Programs get one document with every field, and the status all the same."""
    finished = run("check", "contact", "ivan", *SMS, "--json", address=bank.address)
    assert finished.status == 0
    answer = finished.json
    assert answer["verdict"] == "VERDICT_ALLOW"
    assert answer["reason"] == "REASON_ALLOWED"
    assert answer["notAfter"] == "2099-01-01T00:00:00Z"
    assert answer["basis"]["consentType"] == "marketing"
    assert answer["allowedChannels"] == ["phone", "sms"]
    assert run("check", "contact", "nobody", *SMS, "--json", address=bank.address).status == 1


def test_a_date_is_its_start_in_the_company_zone(bank: RunningMaywe) -> None:
    """A date as an instant is midnight in the zone of the catalog, here three hours ahead."""
    finished = run(
        *("explain", "contact", "ivan", *SMS, "--valid-at", "2025-01-15", "--json"),
        address=bank.address,
    )
    assert finished.json["validAt"] == "2025-01-14T21:00:00Z"


def test_explain_shows_the_proof(bank: RunningMaywe) -> None:
    """The signed wording stands there word by word, beside the event and the publication."""
    finished = run("explain", "contact", "ivan", *SMS, address=bank.address)
    assert finished.status == 0
    for part in ("ALLOWED", "Согласен получать предложения.", "consent type marketing", "lawyer"):
        assert part in finished.out
    share = ("--partner", "acme", "--dataset", "contacts", "--purpose", "advertising")
    assert "contacts" in run("explain", "share", "ivan", *share, address=bank.address).out
    process = run("explain", "process", "ivan", "--purpose", "service", address=bank.address)
    assert process.status == 0
    assert "NO_CONSENT" in process.out


def test_the_card_shows_every_consent(bank: RunningMaywe) -> None:
    """The card lists types, allowed scopes and grants; an unknown customer's is empty."""
    finished = run("card", "ivan", address=bank.address)
    assert finished.columns("consent") == ["marketing"]
    assert "contact by phone for advertising" in finished.out
    unknown = run("card", "nobody", address=bank.address)
    assert unknown.status == 0
    assert unknown.out == "no event names customer nobody\n"


def test_ids_are_never_cut_when_piped(bank: RunningMaywe) -> None:
    """The longest customer id and event id stand whole in the table, without lines or colour."""
    event_id = "event-" + "7" * 122
    bank.client.writer.RecordPurchase(purchase(customer_id=LONG_CUSTOMER_ID, event_id=event_id))
    finished = run(
        *("explain", "contact", LONG_CUSTOMER_ID, *SMS, "--valid-at", "2024-06-01"),
        address=bank.address,
    )
    assert LONG_CUSTOMER_ID in finished.out
    assert event_id in finished.out
    assert "\x1b" not in finished.out
    assert "│" not in finished.out


def test_revoke_prints_the_id_it_made(bank: RunningMaywe) -> None:
    """The answer names the event, what ended and what survives; the next check is denied."""
    finished = run(
        *("revoke", "ivan", "--channel", "sms", "--process", "call centre", "--json"),
        address=bank.address,
    )
    assert finished.status == 0
    assert len(finished.json["eventId"]) == 36
    assert [ended["scope"]["channel"] for ended in finished.json["ended"]] == ["sms"]
    assert finished.json["surviving"]
    token = finished.json["acknowledgement"]["token"]
    check = run("check", "contact", "ivan", *SMS, "--token", token, address=bank.address)
    assert check.status == 1
    assert "CONSENT_REVOKED" in check.out


def test_a_revocation_of_which_not_everybody_heard_says_how_to_go_on(bank: RunningMaywe) -> None:
    """It is recorded, and status 2 says that it is not known whether every server heeds it."""
    with bank.application.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO lease VALUES ('silent', '127.0.0.1:1', 1, 3600000, 0)"
        )
    finished = run("revoke", "ivan", "--all", "--timeout-seconds", "1", address=bank.address)
    assert finished.status == 2
    line = one_line(finished)
    repeat = line[line.index("--event-id") :].split()
    with bank.application.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM lease WHERE process_id = 'silent'")
    again = run("revoke", "ivan", "--all", *repeat, "--json", address=bank.address)
    assert again.status == 0
    assert again.json["acknowledgement"]["repeat"] is True
    assert again.json["acknowledgement"]["durability"] == "DURABILITY_EFFECTIVE"


def test_a_revocation_may_be_repeated_under_its_id(bank: RunningMaywe) -> None:
    """The same id and instant is accepted again; the id with other content is refused."""
    same = ("revoke", "ivan", "--event-id", "r1", "--at", "2025-03-01", "--json")
    assert run(*same, "--all", address=bank.address).json["acknowledgement"]["repeat"] is False
    assert run(*same, "--all", address=bank.address).json["acknowledgement"]["repeat"] is True
    other = run(*same, "--channel", "sms", address=bank.address)
    assert other.status == 1
    assert "give the event an id of its own" in one_line(other)


def test_validate_lists_every_fault(maywe: RunningMaywe, tmp_path: Path) -> None:
    """Each fault has its path, problem and remedy; a faultless document ends with 0."""
    good = run("catalog", "validate", document_path(tmp_path), address=maywe.address)
    assert (good.status, good.out) == (0, "no faults; compared with publication none\n")
    faulty = document_path(tmp_path, zone="Mars/Olympus", channels=[{"code": "phone"}] * 2)
    bad = run("catalog", "validate", faulty, address=maywe.address)
    assert bad.status == 1
    assert "zone" in bad.columns("path")
    assert bad.out.splitlines()[0].split() == ["path", "problem", "remedy", "kind"]


def test_publish_refuses_with_the_faults(maywe: RunningMaywe, tmp_path: Path) -> None:
    """A faulty document is refused as a whole with the table of its faults."""
    faulty = document_path(tmp_path, zone="Mars/Olympus")
    finished = run(
        *("catalog", "publish", faulty, "--publisher", "ann", "--comment", ""),
        address=maywe.address,
    )
    assert finished.status == 1
    assert finished.columns("path") == ["zone"]
    assert "nothing was published" in one_line(finished)
    log = run("catalog", "log", address=maywe.address)
    assert log.out.startswith("nothing is published")


def test_publish_waits_and_log_and_export_tell_of_it(maywe: RunningMaywe) -> None:
    """The starter catalog is published, waited for, listed, and given back as it was."""
    published = run(
        *("catalog", "publish", str(STARTER_CATALOG_PATH), "--publisher", "ann"),
        *("--comment", "first", "--wait", "--json"),
        address=maywe.address,
    )
    assert published.status == 0
    assert published.json["number"] == 1
    assert published.json["rollout"]["state"] == "ROLLOUT_STATE_EFFECTIVE"
    log = run("catalog", "log", "--json", address=maywe.address).json["publications"]
    assert [(entry["publisher"], entry["comment"]) for entry in log] == [("ann", "first")]
    exported = run("catalog", "export", address=maywe.address)
    assert exported.out == STARTER_CATALOG_PATH.read_text(encoding="utf-8")


def test_publish_without_a_terminal_asks_for_nothing(maywe: RunningMaywe, tmp_path: Path) -> None:
    """Who publishes and why has to be said where nobody can be asked."""
    path = document_path(tmp_path)
    for arguments, wanted in (((), "--publisher"), (("--publisher", "ann"), "--comment")):
        finished = run("catalog", "publish", path, *arguments, address=maywe.address)
        assert finished.status == 64
        assert wanted in finished.err


def test_an_outdated_publication_is_refused(bank: RunningMaywe, tmp_path: Path) -> None:
    """Who expects another newest publication is told to look first."""
    finished = run(
        *("catalog", "publish", document_path(tmp_path), "--publisher", "ann", "--comment", ""),
        *("--expected-number", "0"),
        address=bank.address,
    )
    assert finished.status == 1
    assert "maywe catalog preview" in one_line(finished)


def test_preview_shows_who_gains_and_loses(bank: RunningMaywe, tmp_path: Path) -> None:
    """A wording that covers SMS no longer takes it from ivan, and from nobody else."""
    wordings: list[dict[str, Any]] = catalog()["wordings"]
    wordings[0]["grants"] = [{"purpose": "advertising", "channels": ["phone", "email"]}]
    path = document_path(tmp_path, wordings=wordings)
    finished = run("catalog", "preview", path, address=bank.address)
    assert finished.status == 0
    assert finished.columns("scope") == [
        "contact by email for advertising",
        "contact by sms for advertising",
        "share contacts with acme for advertising",
    ]
    assert finished.columns("partner") == ["acme"]
    assert set(finished.columns("customer")) == {"ivan"}


@pytest.mark.parametrize("command", ["validate", "preview"])
def test_a_document_in_another_encoding_is_refused(
    maywe: RunningMaywe, tmp_path: Path, command: str
) -> None:
    """What is not UTF-8 is told by its first bad byte."""
    path = tmp_path / "catalog.yaml"
    path.write_bytes("zone: Москва".encode("cp1251"))
    finished = run("catalog", command, str(path), address=maywe.address)
    assert finished.status == 64
    assert "byte 7" in finished.err
