import os
import socket
import sys
from pathlib import Path

import pytest

from common import ports
from common.settings import SettingsError

BY_US = f" by process {os.getpid()}, {Path('/proc/self/comm').read_text().strip()}" if sys.platform == "linux" else ""


def test_a_taken_port_is_refused_in_the_name_of_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert not ports.is_free("127.0.0.1", port)
        with pytest.raises(
            SettingsError,
            match=rf"^PROXY_PORT={port}: need a free port on 127.0.0.1 \(Address already in use{BY_US}\)$",
        ):
            ports.bind("127.0.0.1", port, "PROXY_PORT")


def test_a_foreign_address_is_refused_in_the_name_of_its_setting() -> None:
    with pytest.raises(SettingsError, match=r"^BIND_ADDRESS=192\.0\.2\.1: need an address of this machine$"):
        ports.bind("192.0.2.1", 8080, "PROXY_PORT")


def test_a_free_port_is_none_of_those_that_are_spoken_for() -> None:
    port = ports.free_port("127.0.0.1")

    assert ports.is_free("127.0.0.1", port)
    assert ports.free_port("127.0.0.1", {port}) != port


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - no socket is made
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("192.168.1.5", "http://192.168.1.5:80"),
    ],
)
def test_the_announced_address_is_one_that_this_machine_reaches(address: str, url: str) -> None:
    assert ports.origin("http", address, 80) == url


@pytest.mark.parametrize(
    "authority", ["localhost", "LOCALHOST:8081", "a.localhost:80", "127.0.0.1", "127.1.2.3:9", "[::1]:80"]
)
def test_this_machine_has_these_names(authority: str) -> None:
    assert ports.names_this_machine(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "evil.test",
        "evil.test:8081",
        "evil.test:99999",
        "localhost.evil.test",
        "evillocalhost",
        "evil@evil.test",
        "localhost@evil.test",
        "\N{FULLWIDTH LATIN SMALL LETTER L}ocalhost",
        "192.168.0.1",
        "[::1",
        "a b",
    ],
)
def test_all_others_and_what_is_no_name_are_not_this_machines(authority: str) -> None:
    assert not ports.names_this_machine(authority)
