"""A dialer: asks right before every call, and calls nobody of whom it does not know.

Reads customer ids from standard input, one a line. For each it prints, with tabs between: the
customer, CALL, DO_NOT_CALL, LATER or MEND, and until when or why. Ends with status 2 when something
has to be changed before anybody can be called, and then says so.

    python dialer.py --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
        --purpose advertising --channel phone < customers
"""

import argparse
import sys
import time

import grpc
from connection import add_arguments, open_channel
from failure import Do, failure_of
from maywe.v1.common_pb2 import VERDICT_ALLOW, Reason
from maywe.v1.decision_pb2 import MayContactRequest, MayContactResponse
from maywe.v1.decision_pb2_grpc import DecisionServiceStub


def main() -> int:
    """Ask about each customer in turn."""
    parser = argparse.ArgumentParser(description="Call whom we may.")
    add_arguments(parser)
    parser.add_argument("--purpose", required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--deadline-seconds", type=float, default=2.0, help="retries included")
    arguments = parser.parse_args()
    with open_channel(arguments) as channel:
        stub = DecisionServiceStub(channel)
        for line in sys.stdin:
            request = MayContactRequest(
                customer_id=line.strip(), purpose=arguments.purpose, channel=arguments.channel
            )
            try:
                answer = stub.MayContact(request, timeout=arguments.deadline_seconds)
            except grpc.RpcError as error:
                failure = failure_of(error)
                if failure.do is Do.STOP:
                    print("STOP", failure.status, failure.reason, failure.message, file=sys.stderr)
                    return 2
                say(request.customer_id, failure.do, failure.reason or failure.status)
                if failure.do is Do.LATER:
                    # It would most likely be the same with the next customer.
                    time.sleep(failure.wait_seconds)
            else:
                say(request.customer_id, *meaning(answer))
    return 0


def meaning(answer: MayContactResponse) -> tuple[str, str]:
    """Tell what to do with an answer, and until when or why."""
    if answer.verdict != VERDICT_ALLOW:
        return "DO_NOT_CALL", Reason.Name(answer.reason).removeprefix("REASON_")
    if answer.outside_promise:
        # Only where an operator lets servers go on that may not have heard of a revocation.
        return Do.LATER, "OUTSIDE_PROMISE"
    if not answer.HasField("not_after"):
        return "CALL", "no end"
    # Whoever lets the call wait asks again, at the latest then.
    return "CALL", answer.not_after.ToDatetime().strftime("until %Y-%m-%dT%H:%M:%SZ")


def say(*words: str) -> None:
    """Print a line at once."""
    print(*words, sep="\t", flush=True)


if __name__ == "__main__":
    sys.exit(main())
