"""A process that runs embedded servers until its standard input ends, for tests that kill it.

Run as `python -m tests.integration.embedded_child DIRECTORY`. It prints the servers' addresses as
one line of JSON once they are ready.
"""

import json
import sys
from pathlib import Path

from service.embedded import EmbeddedOptions, embedded_servers


def main(data_directory: Path) -> None:
    """Run the servers on `data_directory`."""
    options = EmbeddedOptions(data_directory=data_directory, durable=False)
    with embedded_servers(options) as servers:
        print(json.dumps([servers.postgresql.url, servers.redis.url]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
