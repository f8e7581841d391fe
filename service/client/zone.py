"""The company zone, in which dates without a time are meant.

What lives here: reading it from the newest catalog, and nothing else of the catalog.
"""

import json
from zoneinfo import ZoneInfo

import grpc
import yaml
from maywe.v1.catalog_pb2 import DOCUMENT_FORMAT_JSON, GetCatalogRequest
from maywe.v1.catalog_pb2_grpc import CatalogServiceStub


def company_zone(catalog: CatalogServiceStub) -> ZoneInfo | None:
    """Ask for the zone of the newest catalog; None when none is published.

    Raises grpc.RpcError.
    """
    try:
        answer = catalog.GetCatalog(GetCatalogRequest())
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    if answer.format == DOCUMENT_FORMAT_JSON:
        return ZoneInfo(json.loads(answer.document)["zone"])
    # What is published is valid and has a zone; the parser in C reads the largest in a moment.
    return ZoneInfo(yaml.load(answer.document, Loader=yaml.CSafeLoader)["zone"])
