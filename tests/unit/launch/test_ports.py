import socket

import pytest

from extproc import ports
from extproc.launch import addresses
from extproc.launch.banner import announcement, exposure
from extproc.settings import Settings, SettingsError


def test_a_taken_port_is_refused_in_the_name_of_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert not ports.is_free("127.0.0.1", port)
        with pytest.raises(
            SettingsError, match=rf"^PROXY_PORT={port}: need a free port on 127.0.0.1 \(Address already"
        ):
            ports.bind("127.0.0.1", port, "PROXY_PORT")


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
    assert addresses.origin("http", address, 80) == url


def test_the_announcement_fits_a_terminal_of_80_columns() -> None:
    settings = Settings(proxy_port=65535, metrics_port=65534)

    text = announcement(settings, dashboard="http://127.0.0.1:65533", upstream="a simulated Z.AI on this machine")

    assert max(map(len, text.splitlines())) < 80
    assert "  dashboard  http://127.0.0.1:65533\n" in text
    assert "dashboard" not in announcement(settings, dashboard=None)


def test_only_a_port_that_others_reach_is_warned_of() -> None:
    assert exposure(Settings(bind_address="::1")) is None
    assert "BIND_ADDRESS=192.168.1.5 is open" in str(exposure(Settings(bind_address="192.168.1.5")))
