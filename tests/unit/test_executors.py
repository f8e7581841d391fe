"""Executors: what may wait behind what."""

from maywe.v1 import catalog_pb2, consent_pb2, writer_pb2

from service.executors import open_executors


def test_writes_wait_behind_writes_only() -> None:
    """They may wait for a process that died, which nothing else should."""
    with open_executors() as executors:
        writer = writer_pb2.DESCRIPTOR.services_by_name["WriterService"]
        found = {
            method.name: executors.of(f"/{writer.full_name}/{method.name}").name
            for method in writer.methods
        }
        assert found.pop("ImportEvents") == "imports"
        assert set(found.values()) == {"writes"}
        for service in (
            consent_pb2.DESCRIPTOR.services_by_name["ConsentService"],
            catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"],
        ):
            for method in service.methods:
                assert executors.of(f"/{service.full_name}/{method.name}").name != "writes"
