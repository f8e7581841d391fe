"""What each of several processes that serve one port is told."""

import pytest

from service.settings import read_settings
from service.several import _settings_of


@pytest.mark.parametrize(
    ("given", "second"),
    [("10.0.0.7:7444", "10.0.0.7:7445"), ("127.0.0.1:0", "127.0.0.1:0")],
)
def test_each_process_has_a_control_port_of_its_own(given: str, second: str) -> None:
    """Ports that were chosen follow each other; a port that is found free is found by each."""
    settings = read_settings({"control_listen": given, "processes": "2"}, {})
    assert _settings_of(1, settings).control_listen == given
    assert _settings_of(2, settings).control_listen == second


def test_the_address_for_writers_follows_the_port() -> None:
    """Writers reach the second process at the second port; without an address it stays without."""
    settings = read_settings({"control_address": "10.0.0.7:7444"}, {})
    assert _settings_of(2, settings).control_address == "10.0.0.7:7445"
    assert _settings_of(2, read_settings({}, {})).control_address == ""


def test_a_process_of_several_serves_alone_and_one_of_them_reconciles() -> None:
    """None starts processes in its turn, and the ledger is compared by one."""
    settings = read_settings({"processes": "3", "reconciled_per_second": "7"}, {})
    found = [_settings_of(number, settings) for number in (1, 2, 3)]
    assert [one.processes for one in found] == [1, 1, 1]
    assert [one.is_port_shared for one in found] == [True, True, True]
    assert [one.reconciled_per_second for one in found] == [7, 0, 0]
