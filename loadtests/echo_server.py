"""The empty call: a decision server whose `MayContact` gives the same answer to everybody.

What lives here: `python -m loadtests.echo_server ANSWER serve decision ...`. It is `maywe serve
decision` in everything else: the same start, executors, guards, interceptors, background work. So
what a check costs over this is what deciding costs, and nothing else.
"""

import sys
from pathlib import Path

import grpc
from maywe.v1 import decision_pb2

from service.cli.main import main as maywe
from service.servicers.decision import DecisionServicer


def main() -> None:
    """Serve the answer in a file, made of bytes of a `MayContactResponse`."""
    answer = decision_pb2.MayContactResponse.FromString(Path(sys.argv.pop(1)).read_bytes())

    def give_answer(
        _servicer: DecisionServicer,
        _request: decision_pb2.MayContactRequest,
        _context: grpc.ServicerContext,
    ) -> decision_pb2.MayContactResponse:
        return answer

    # The one difference.
    DecisionServicer.MayContact = give_answer  # type: ignore[assignment, method-assign]
    maywe()


if __name__ == "__main__":
    main()
