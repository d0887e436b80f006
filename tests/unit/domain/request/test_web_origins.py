"""Which web pages may use the proxy, by what their browser says of them."""

import pytest

from extproc.domain.request.head import RequestHead
from extproc.domain.request.web_origins import WebOrigins

JSON = "application/json"
LIKE_A_FORM = (
    "",
    "text/plain",
    "Text/Plain; charset=json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
)


def may_come(
    origin: str, allowed: str = "", host: str = "127.0.0.1:8080", kind: str = JSON, method: str = "POST"
) -> bool:
    head = RequestHead(
        method, "/v1/messages", "r-1", True, True, "", "", "", "127.0.0.1", origin=origin, host=host, content_type=kind
    )
    return WebOrigins(allowed.split()).may_come(head)


def test_what_is_no_page_may_come() -> None:
    assert may_come("")
    assert may_come("", kind="text/plain")


@pytest.mark.parametrize("kind", [JSON, "text/plain", ""])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://evil.example:8080", "HTTP://EVIL.EXAMPLE", "http://"]
)
def test_a_page_of_the_web_may_not(origin: str, kind: str) -> None:
    assert not may_come(origin, kind=kind)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://tauri.localhost",
        "http://127.0.0.1:3000",
        "http://127.8.9.10",
        "http://[::1]:8000",
    ],
)
def test_a_page_of_this_machine_may(origin: str) -> None:
    assert may_come(origin, kind="text/plain")


@pytest.mark.parametrize(
    "origin", ["http://localhost.evil.example", "http://notlocalhost", "http://127.0.0.1.evil.example"]
)
def test_a_page_whose_name_only_looks_like_this_machine_may_not(origin: str) -> None:
    assert not may_come(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "vscode-webview://0a1b2c",
        "vscode-file://vscode-app",
        "tauri://localhost",
        "app://obsidian.md",
        "file://",
        "chrome-extension://abcdef",
        "moz-extension://0-1-2",
        "capacitor://localhost",
    ],
)
def test_a_programs_own_scheme_may(origin: str) -> None:
    assert may_come(origin, kind="text/plain")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "Text/Plain; charset=json",
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_the_origin_of_nobody_may_not_send_what_a_browser_sends_unasked(kind: str) -> None:
    assert not may_come("null", kind=kind)


def test_the_origin_of_nobody_may_send_what_a_browser_would_ask_for_first() -> None:
    assert may_come("null", kind="application/json; charset=utf-8")
    assert may_come("null", method="GET", kind="")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://zai.example.com", "zai.example.com"),
        ("https://zai.example.com:8443", "zai.example.com"),
        ("http://192.168.1.5:3000", "192.168.1.5:8080"),
        ("http://[fd00::5]:3000", "[fd00::5]:8080"),
        ("http://nas:3000", "nas:8080"),
    ],
)
def test_a_page_of_the_proxys_own_host_may(origin: str, host: str) -> None:
    assert may_come(origin, host=host, kind="text/plain")


@pytest.mark.parametrize("host", ["evil.example:8080", "EVIL.example:8080", "evil.example.:8080"])
def test_a_page_whose_name_was_made_to_point_here_may_not(host: str) -> None:
    assert not may_come("http://evil.example:8080", host=host)


@pytest.mark.parametrize("host", ["192.168.1.6:8080", "", "[", "192.168.1.5.evil.example"])
def test_a_page_of_another_host_may_not(host: str) -> None:
    assert not may_come("http://192.168.1.5:3000", host=host)


def test_those_that_are_named_may() -> None:
    allowed = "https://chat.example.com http://*.lan.example null"

    assert may_come("https://chat.example.com", allowed, kind="text/plain")
    assert may_come("http://nas.lan.example", allowed)
    assert may_come("null", allowed, kind="text/plain")
    assert not may_come("https://chat.example.com.evil.example", allowed)
    assert not may_come("https://chatxexample.com", allowed)
    assert may_come("https://any.example", "*", kind="text/plain")
