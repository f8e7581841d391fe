"""A partner of the ecosystem: asks which data sets of a customer it may receive, for itself.

For each customer it prints, with tabs between: the customer, RECEIVE, DO_NOT_RECEIVE, LATER or
MEND, and the data sets that are allowed or why nothing is known. Why not is told to no partner.
Ends with status 2 when something has to be changed before anything can be asked, and says so.

    python partner.py --address maywe.bank.example:7443 --ca-file bank.pem \
        --certificate-file telecom.pem --key-file telecom.key \
        --partner telecom --purpose advertising --dataset contacts ivan olga
"""

import argparse
import sys
import time

import grpc
from connection import add_arguments, open_channel
from failure import Do, failure_of
from maywe.v1.common_pb2 import VERDICT_ALLOW
from maywe.v1.decision_pb2 import MayShareRequest
from maywe.v1.decision_pb2_grpc import DecisionServiceStub


def main() -> int:
    """Ask about each customer in turn."""
    parser = argparse.ArgumentParser(description="Receive what we may.")
    add_arguments(parser)
    parser.add_argument("--partner", required=True, help="who we are, as the catalog has it")
    parser.add_argument("--purpose", required=True)
    parser.add_argument("--dataset", action="append", required=True)
    parser.add_argument("--deadline-seconds", type=float, default=2.0, help="retries included")
    parser.add_argument("customer_id", nargs="+")
    arguments = parser.parse_args()
    with open_channel(arguments) as channel:
        stub = DecisionServiceStub(channel)
        for customer_id in arguments.customer_id:
            request = MayShareRequest(
                customer_id=customer_id,
                partner=arguments.partner,
                datasets=arguments.dataset,
                purpose=arguments.purpose,
            )
            try:
                answer = stub.MayShare(request, timeout=arguments.deadline_seconds)
            except grpc.RpcError as error:
                failure = failure_of(error)
                if failure.do is Do.STOP:
                    print("STOP", failure.status, failure.reason, failure.message, file=sys.stderr)
                    return 2
                print(customer_id, failure.do, failure.reason or failure.status, sep="\t")
                if failure.do is Do.LATER:
                    time.sleep(failure.wait_seconds)
            else:
                # Without ALLOW for all of them together, some may still be allowed.
                verdict = "RECEIVE" if answer.verdict == VERDICT_ALLOW else "DO_NOT_RECEIVE"
                print(customer_id, verdict, ",".join(answer.allowed_datasets), sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
