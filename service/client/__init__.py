"""The gRPC client behind the command line, the import and the demonstration.

What lives here: opening channels with deadlines, retries and keep-alive, and turning a failed call
into one line that says what to do. What is asked, and how answers look, is the caller's.
"""

from service.client.channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_SECONDS,
    Client,
    ImportEventsCall,
    open_client,
)
from service.client.problems import (
    ClientProblemError,
    Outcome,
    answers_from,
    is_transient,
    problem_of,
    retry_delay_seconds,
)
from service.client.zone import company_zone

__all__ = [
    "DEFAULT_ADDRESS",
    "DEFAULT_TIMEOUT_SECONDS",
    "Client",
    "ClientProblemError",
    "ImportEventsCall",
    "Outcome",
    "answers_from",
    "company_zone",
    "is_transient",
    "open_client",
    "problem_of",
    "retry_delay_seconds",
]
