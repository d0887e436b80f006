"""Which leg of the way through a company's proxy is broken, and what is said of it."""

import asyncio
import ssl
import time

import pytest
from structlog.testing import capture_logs

from extproc.domain.request.way_up import BrokenWay, ForwardProxy, Leg
from extproc.runtime import proxy_watch
from extproc.runtime.proxy_watch import ProxyWatch, look_through
from tests.harness.certificates import Authority
from tests.harness.forward_proxy import forward_proxy
from tests.harness.ports import free_port
from tests.unit.runtime.listener import http, listening, running

HOST = "api.z.ai"
CREDENTIALS = "anna:a-secret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def serving_as(authority: Authority, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    return context


async def look(port: int, authority: Authority, scheme: str = "http", host: str = "127.0.0.1") -> BrokenWay | float:
    proxy = ForwardProxy.parse(f"{scheme}://{CREDENTIALS}@{host}:{port}")
    async with asyncio.timeout(60):
        return await look_through(proxy, HOST, 443, authority.trusted())


async def test_a_way_that_is_whole_tells_how_long_the_certificate_at_its_end_is_good(authority: Authority) -> None:
    async with listening(None, tls=serving_as(authority, HOST)) as upstream:
        there = ("127.0.0.1", int(upstream.url.rpartition(":")[2]))
        with forward_proxy("Basic YW5uYTphLXNlY3JldA==", {f"{HOST}:443": there}) as company:
            found = await look(company.port, authority)

    assert isinstance(found, float)
    assert found > time.time()
    assert upstream.requests == []


async def test_a_proxy_that_nobody_finds_or_that_does_not_listen_is_named(authority: Authority) -> None:
    nowhere = await look(3128, authority, host="proxy.invalid")
    port = free_port()
    silent = await look(port, authority)

    assert str(nowhere) == "the name of proxy.invalid:3128 is not found"
    assert str(silent) == f"127.0.0.1:{port} can't be reached (Connection refused)"


@pytest.mark.parametrize(
    ("answer", "why", "advice"),
    [
        (http(status=407), "407 Proxy Authentication Required", "password in HTTPS_PROXY"),
        (http(status=403), "403 Forbidden", "let this machine through"),
        (http(status=502), "502 Bad Gateway", "does not reach it either"),
        (http(status=599), "599", "does not reach it either"),
        (b"220 mail.example.com\r\n\r\n", "its answer is no HTTP", "Ask who runs"),
        (b"", "it closes the connection without an answer", "Ask who runs"),
    ],
)
async def test_a_tunnel_that_is_refused_is_told_with_the_reason(
    authority: Authority, answer: bytes, why: str, advice: str
) -> None:
    async with listening(answer) as company:
        found = await look(int(company.url.rpartition(":")[2]), authority)

    assert isinstance(found, BrokenWay)
    assert str(found) == f"{found.proxy} opens no tunnel to {HOST}:443 ({why})"
    assert advice in found.advice
    assert "secret" not in f"{found!r}{found.advice}"


async def test_a_proxy_that_never_answers_is_told_after_a_while(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_watch, "_LEG_SECONDS", 0.2)
    async with listening(None) as company:
        found = await look(int(company.url.rpartition(":")[2]), authority)

    assert isinstance(found, BrokenWay)
    assert found.why.startswith("no answer within")


async def test_what_answers_behind_the_tunnel_has_to_be_the_upstream(authority: Authority) -> None:
    async with listening(None, tls=serving_as(authority, "other.example.com")) as upstream:
        there = ("127.0.0.1", int(upstream.url.rpartition(":")[2]))
        with forward_proxy("Basic YW5uYTphLXNlY3JldA==", {f"{HOST}:443": there}) as company:
            found = await look(company.port, authority)

    assert isinstance(found, BrokenWay)
    assert found.leg is Leg.TLS
    assert "Hostname mismatch" in found.why
    assert "ZAI_CA_FILE" in found.advice


async def test_a_proxy_that_does_not_speak_tls_is_told_from_one_that_does(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_watch, "_LEG_SECONDS", 0.2)
    async with listening(http(status=400)) as company:
        found = await look(int(company.url.rpartition(":")[2]), authority, "https")

    assert isinstance(found, BrokenWay)
    assert found.leg is Leg.PROXY_TLS


async def test_the_log_tells_once_that_the_way_is_broken_and_once_that_it_is_whole_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = BrokenWay(Leg.TUNNEL, "proxy:3128", f"{HOST}:443", "407 Proxy Authentication Required")
    results: list[BrokenWay | float] = [broken, broken, time.time() + 60]
    looked = asyncio.Event()

    async def fake(*_: object) -> BrokenWay | float:
        if len(results) == 1:
            looked.set()
            return results[0]
        return results.pop(0)

    monkeypatch.setattr(proxy_watch, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(proxy_watch, "look_through", fake)
    watch = ProxyWatch(ForwardProxy.parse("http://proxy:3128"), HOST, 443, authority.trusted())
    with capture_logs() as logs:
        async with asyncio.timeout(60), running(watch.run):
            await looked.wait()
            await asyncio.sleep(0)

    assert [each["event"] for each in logs] == [
        f"HTTPS_PROXY: {broken}. {broken.advice}",
        "HTTPS_PROXY: proxy:3128 opens tunnels to Z.AI again",
    ]
