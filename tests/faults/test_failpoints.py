"""What the campaign wraps in the product is there: a renamed function must not go unnoticed."""

from pathlib import Path

import pytest

from tests.faults import failpoints
from tests.faults.failpoints import PLACES, Place


@pytest.mark.parametrize("name", PLACES)
def test_every_place_is_a_function_of_the_product(name: str) -> None:
    """A failpoint whose function was renamed would never be passed."""
    owner, attribute = failpoints.resolve(PLACES[name])
    assert callable(getattr(owner, attribute))


def test_an_armed_place_is_reached_and_a_disarmed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever passes does as the order says, and leaves a mark."""
    place = Place(__name__, "_twice", is_before=True, role="")
    monkeypatch.setattr(failpoints, "PLACES", {"here": place})
    monkeypatch.setitem(globals(), "_twice", _twice)
    failpoints.install(tmp_path)
    assert _twice(2) == 4
    assert not failpoints.was_reached(tmp_path, "here")
    failpoints.arm(tmp_path, "here", "0")
    assert globals()["_twice"](2) == 4
    assert failpoints.was_reached(tmp_path, "here")
    failpoints.arm(tmp_path, "here", "0")
    failpoints.disarm(tmp_path, "here")
    assert globals()["_twice"](2) == 4
    assert not failpoints.was_reached(tmp_path, "here")


def _twice(number: int) -> int:
    return 2 * number
