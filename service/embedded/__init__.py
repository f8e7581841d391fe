"""The embedded PostgreSQL and Redis: real servers, started by us on private unix sockets.

Here lives only the starting and stopping of servers and the answer where they listen. What is done
with them belongs to the composition root, which is handed their addresses exactly as it is handed
production's; nothing here knows a table or a key.
"""

from service.embedded.errors import EmbeddedServerError
from service.embedded.servers import EmbeddedOptions, EmbeddedServers, embedded_servers
from service.embedded.temporary import temporary_data_directory

__all__ = [
    "EmbeddedOptions",
    "EmbeddedServerError",
    "EmbeddedServers",
    "embedded_servers",
    "temporary_data_directory",
]
