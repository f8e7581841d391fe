"""What `docs/clients.md` shows is what our own client does."""

import json
import re
from pathlib import Path

from service.client.channel import channel_options, service_config

TEXT = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()


def test_the_documented_service_config_is_ours() -> None:
    """Whoever copies it retries and balances as the command line does."""
    found = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == service_config()


def test_the_documented_channel_options_are_ours() -> None:
    """Each option stands there with its value."""
    options = dict(channel_options())
    del options["grpc.service_config"]
    documented = dict(re.findall(r"^\| `(grpc\.\S+)` \| (\S+) \|", TEXT, re.MULTILINE))
    assert documented == {name: str(value) for name, value in options.items()}
