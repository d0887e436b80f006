"""Every kind of LIMITS_URL leads to a store: by name, through TLS, over a Unix socket; a wrong password does not."""

import asyncio
import ssl
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, RedisError

from extproc.runtime.shared_limits import look
from tests.harness.certificates import Authority
from tests.harness.ports import free_port
from tests.harness.valkey import Valkey


async def test_over_tcp_with_a_password(valkey: Valkey) -> None:
    assert 0.0 < await look(valkey.url) < 1.0


async def test_a_wrong_password_is_told_as_such(valkey: Valkey) -> None:
    with pytest.raises(AuthenticationError):
        await look(f"redis://:wrong@127.0.0.1:{valkey.port}/0")


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    server = Valkey(tmp_path, "--unixsocket", str(tmp_path / "valkey.sock"))
    try:
        assert await look(f"unix://:{server.password}@{tmp_path}/valkey.sock?db=0") > 0.0
    finally:
        server.process.kill()


async def test_over_tls_with_a_certificate_that_is_checked(valkey: Valkey, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "store-authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost", "127.0.0.1"))
    port = free_port()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    url = f"rediss://:{valkey.password}@localhost:{port}/0"
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context):
        assert await look(f"{url}?ssl_ca_certs={authority.certificate_file}") > 0.0
        with pytest.raises(RedisError):
            await look(url)
