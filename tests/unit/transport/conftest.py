"""The gRPC server that the tests of it talk to, with methods of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from extproc.transport.grpc_server import GrpcServer
from tests.unit.transport.http2_peer import Methods


@pytest.fixture
def methods() -> Methods:
    return Methods()


@pytest.fixture
async def server(methods: Methods, tmp_path: Path) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(methods.by_path)
    await server.start(tmp_path / "s")
    yield server
    await server.stop(0.0)
