"""Reading requests: from the bytes of a call to the message that its method takes.

What lives here: how long the request of each method may be, and what is said of bytes that are
none. Bytes are looked at only after it is known who sent them, and never in the one thread of gRPC
that hands out all calls.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from decision.errors import FieldFault, InvalidArgumentError
from service.unreadable import Unreadable

_Request = TypeVar("_Request", bound=Message)

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Of most methods: a question or an event fits many times, with every text as long as it may be."""

REQUEST_BYTES_MAX_BY_METHOD: Final[Mapping[str, int]] = {
    # 1000 questions, each with many data sets.
    "/maywe.v1.DecisionService/BatchCheck": 4 * 1024 * 1024,
    # What the contract says of chunks.
    "/maywe.v1.DecisionService/FilterAudience": 4 * 1024 * 1024,
    "/maywe.v1.WriterService/ImportEvents": 4 * 1024 * 1024,
    # A document has 3 MiB; of one that is a little longer it is said how long it may be.
    "/maywe.v1.CatalogService/ValidateCatalog": 4 * 1024 * 1024,
    "/maywe.v1.CatalogService/PreviewPublication": 4 * 1024 * 1024,
    "/maywe.v1.CatalogService/Publish": 4 * 1024 * 1024,
}
"""Of the others, by full name. A message in memory takes several times its bytes."""


UNCOMPRESSED: Final = (
    # A set of bits, in which the first stands for none.
    ("grpc.compression_enabled_algorithms_bitset", 1),
)
"""Options of a server that takes no compressed message. gRPC bounds what comes compressed, and what
it comes to only once it is there, which is a thousand times as much."""


def request_bytes_max(method: str) -> int:
    """Tell how long a request of a method may be."""
    return REQUEST_BYTES_MAX_BY_METHOD.get(method, REQUEST_BYTES_MAX)


def request_reader(request_class: type[_Request], method: str) -> Callable[[bytes], _Request]:
    """Give what reads the requests of a method. It raises InvalidArgumentError."""
    bytes_max = request_bytes_max(method)
    parse = request_class.FromString

    def read(data: bytes) -> _Request:
        if len(data) > bytes_max:
            problem = f"has {len(data)} bytes, {bytes_max} are the most"
            raise InvalidArgumentError(FieldFault("request", problem))
        try:
            return parse(data)
        except DecodeError as error:
            raise Unreadable(request_class, data).error() from error

    return read
