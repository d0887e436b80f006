import base64

import pytest

from extproc.domain.request.way_up import ForwardProxy, is_excepted, way_to, what_is_not_used

URL = "https://api.z.ai"
PROXY = "http://anna:se%40cret@proxy.example.com:3128"


def test_a_proxy_is_taken_apart_and_its_credentials_are_not_shown() -> None:
    proxy = ForwardProxy.parse(PROXY)

    assert (proxy.scheme, proxy.address) == ("http", "proxy.example.com:3128")
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")) == b"anna:se@cret"
    assert "cret" not in repr(proxy)
    assert proxy.authorization not in repr(proxy)


@pytest.mark.parametrize("url", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy:0", "http://pro xy", ""])
def test_what_is_no_proxy_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^no URL of a proxy$|^Port"):
        ForwardProxy.parse(url)


@pytest.mark.parametrize(
    ("no_proxy", "excepted"),
    [
        (None, False),
        ("", False),
        ("*", True),
        ("api.z.ai", True),
        ("localhost, .z.ai", True),
        ("*.z.ai", True),
        ("z.ai", True),
        ("Z.AI", True),
        ("api.z.ai:443", True),
        ("api.z.ai:8443", False),
        ("pi.z.ai", False),
        ("10.0.0.0/8 localhost", False),
        (".", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy: str | None, excepted: bool) -> None:
    assert is_excepted("api.z.ai", 443, no_proxy) is excepted
    assert (way_to(URL, PROXY, no_proxy) is None) is excepted


@pytest.mark.parametrize("no_proxy", ["10.1.2.3", "10.0.0.0/8", "10.1.2.3:443"])
def test_no_proxy_names_addresses(no_proxy: str) -> None:
    assert is_excepted("10.1.2.3", 443, no_proxy)
    assert not is_excepted("11.1.2.3", 443, no_proxy)


@pytest.mark.parametrize("no_proxy", ["::1", "[::1]", "::/0", "[::1]:443"])
def test_no_proxy_names_addresses_of_version_6(no_proxy: str) -> None:
    assert is_excepted("::1", 443, no_proxy)


def test_an_upstream_without_tls_is_reached_straight() -> None:
    assert way_to("http://127.0.0.1:8090", PROXY, None) is None


def test_what_is_set_and_changes_nothing_is_told_without_its_value() -> None:
    environ = {"http_proxy": PROXY, "ALL_PROXY": PROXY, "REQUESTS_CA_BUNDLE": "/other.pem", "CURL_CA_BUNDLE": "/ca.pem"}

    told = list(what_is_not_used(environ, URL, None, None, "/ca.pem"))

    assert [line.partition(" ")[0] for line in told] == ["HTTP_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE"]
    assert "cret" not in "".join(told)
    assert list(what_is_not_used({"HTTPS_PROXY": PROXY}, URL, PROXY, "z.ai", "")) == [
        "HTTPS_PROXY is set and not used for https://api.z.ai: NO_PROXY names its host"
    ]
    assert list(what_is_not_used({}, URL, PROXY, None, "")) == []
    assert list(what_is_not_used({"SSL_CERT_DIR": "/certs"}, URL, None, None, "/ca.pem")) == [
        "SSL_CERT_DIR is set and not used: for certificates of your own set ZAI_CA_FILE"
    ]
    assert list(what_is_not_used({"SSL_CERT_DIR": "/etc/certs/"}, URL, None, None, "/etc/certs/ca.pem")) == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_other_variables_for_proxies_are_not_used_beside_https_proxy_either(name: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, name: PROXY}

    assert list(what_is_not_used(environ, URL, PROXY, None, "")) == [
        f"{name.upper()} is set and not used: HTTPS_PROXY alone leads to Z.AI"
    ]


def test_exceptions_from_no_proxy_at_all_are_told_as_not_used() -> None:
    assert list(what_is_not_used({"NO_PROXY": "z.ai"}, URL, None, "z.ai", "")) == [
        "NO_PROXY is set and not used: without HTTPS_PROXY every request goes straight"
    ]
    assert list(what_is_not_used({"NO_PROXY": "other"}, URL, PROXY, "other", "")) == []
