"""What keeps `zai-proxy run` and `demo` from starting: a line each that says what would be right, and exit code 2.

It is 75 where all of it may pass.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.harness.leaks import parts_of
from tests.harness.processes import bare_environment, make_key
from tests.harness.stack import ZAI_PROXY
from tests.harness.supervised import PORTS, free_ports, quiet_settings, start_in_vain

pytestmark = pytest.mark.slow

KEY = make_key()
MAY_PASS = os.EX_TEMPFAIL


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings with which it would start."""
    return quiet_settings(tmp_path, KEY, "http://127.0.0.1:1")


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def lines(environment: dict[str, str], *arguments: str, code: int = 2) -> list[str]:
    """What it says before it ends, which has to be with this code, without a traceback and without the key."""
    ended = start_in_vain(environment, *arguments)
    assert ended.returncode == code, ended
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert not any(part in ended.stderr for part in parts_of(KEY))
    return ended.stderr.splitlines()


@pytest.mark.parametrize("command", ["run", "demo"])
@pytest.mark.parametrize("name", PORTS)
def test_a_port_in_use(environment: dict[str, str], taken_port: str, name: str, command: str) -> None:
    told = lines({**environment, name: taken_port}, command, code=MAY_PASS)

    [line] = told
    assert line.startswith(
        f"{name}={taken_port}: need a free port on 127.0.0.1 (Address already in use by process {os.getpid()}, "
    )


def test_a_port_that_two_want(environment: dict[str, str]) -> None:
    port = environment["PROXY_PORT"]

    assert lines({**environment, "DASHBOARD_PORT": port}, "run") == [
        f"DASHBOARD_PORT={port}: need another port than PROXY_PORT"
    ]


def test_every_port_in_use_gets_its_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = {"PROXY_PORT": str(one.getsockname()[1]), "DASHBOARD_PORT": str(two.getsockname()[1])}

        told = lines({**environment, **taken}, "run", code=MAY_PASS)

    assert [line.partition("=")[0] for line in told] == ["PROXY_PORT", "DASHBOARD_PORT"]


def test_without_a_dashboard_its_settings_do_not_matter(environment: dict[str, str], taken_port: str) -> None:
    settings = {"DASHBOARD_PORT": taken_port, "DB_PATH": "/nowhere/at/all", "METRICS_PORT": taken_port}

    told = lines({**environment, **settings}, "run", "--no-dashboard", code=MAY_PASS)

    [line] = told
    assert line.startswith(f"METRICS_PORT={taken_port}: need a free port on 127.0.0.1 (Address already in use")


def test_no_key(environment: dict[str, str]) -> None:
    del environment["ZAI_API_KEY"]

    assert lines(environment, "run") == ["ZAI_API_KEY is not set: need the Z.AI key (or set ZAI_API_KEY_FILE)"]


def test_a_key_that_can_be_none_is_not_repeated(environment: dict[str, str]) -> None:
    told = lines({**environment, "ZAI_API_KEY": f"{KEY} {KEY}"}, "run")

    assert told == ["ZAI_API_KEY=***: need the Z.AI key in one line, without spaces"]


def test_no_key_but_one_that_is_misspelt(environment: dict[str, str]) -> None:
    environment["ZAI_APY_KEY"] = environment.pop("ZAI_API_KEY")

    warning, told = lines(environment, "run")

    assert warning.endswith("ZAI_APY_KEY is not a setting of zai-proxy and does nothing: did you mean ZAI_API_KEY?")
    assert told.startswith("ZAI_API_KEY is not set")


def test_a_name_that_is_nearly_a_settings(environment: dict[str, str], taken_port: str) -> None:
    warning, told = lines({**environment, "MAX_WORKER": "5", "METRICS_PORT": taken_port}, "run", code=MAY_PASS)

    assert warning.endswith("MAX_WORKER is not a setting of zai-proxy and does nothing: did you mean MAX_WORKERS?")
    assert told.startswith(f"METRICS_PORT={taken_port}: need a free port")


@pytest.mark.parametrize("spoilt", ['"{}"', "ZAI_API_KEY={}", "your-api-key"])
@pytest.mark.parametrize("command", ["run", "extproc"])
def test_a_key_with_something_around_it_or_none_at_all(environment: dict[str, str], spoilt: str, command: str) -> None:
    [told] = lines({**environment, "ZAI_API_KEY": spoilt.format(KEY)}, command)

    assert told.startswith("ZAI_API_KEY=***: need the Z.AI key ")
    assert KEY not in told


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ADMIN_TOKEN", "short", "ADMIN_TOKEN=***: need a token of at least 16 characters"),
        ("MAX_WORKERS", "many", "MAX_WORKERS=many: need a whole number from 1 to 10000"),
        ("DASHBOARD_PORT", "http", "DASHBOARD_PORT=http: need a port from 1 to 65535"),
        (
            "SCRAPE_INTERVAL",
            "never",
            "SCRAPE_INTERVAL=never: need a length of time from 0.2 s to 60 s, like 5",
        ),
        (
            "DB_PATH",
            f"{__file__}/dashboard.db",
            f"DB_PATH={__file__}/dashboard.db: need a path in a directory that can be written to, or --no-dashboard",
        ),
        ("DB_PATH", "/", "DB_PATH=/: need a path in a directory that can be written to, or --no-dashboard"),
    ],
)
def test_a_malformed_setting(environment: dict[str, str], name: str, value: str, line: str) -> None:
    assert lines({**environment, name: value}, "run") == [line]


def test_an_address_that_this_machine_has_not_got_yet(environment: dict[str, str]) -> None:
    told = lines({**environment, "BIND_ADDRESS": "203.0.113.7"}, "run", code=MAY_PASS)

    assert told == ["BIND_ADDRESS=203.0.113.7: need an address of this machine"]


def test_the_dashboard_alone_speaks_the_same_way(environment: dict[str, str]) -> None:
    told = lines({**environment, "DASHBOARD_PORT": "0"}, "dashboard")

    assert told == ["DASHBOARD_PORT=0: need a port from 1 to 65535"]


def test_a_home_that_cannot_be_written_to_is_told_of(environment: dict[str, str]) -> None:
    del environment["DB_PATH"]

    told = lines({**environment, "XDG_STATE_HOME": __file__}, "run")

    path = f"{__file__}/zai-proxy/dashboard.db"
    assert told == [f"DB_PATH is not set and {path} can't be written: need it, or --no-dashboard"]


def test_a_key_file_that_cannot_be_read(environment: dict[str, str], tmp_path: Path) -> None:
    del environment["ZAI_API_KEY"]

    told = lines({**environment, "ZAI_API_KEY_FILE": str(tmp_path)}, "run")

    assert told == [f"ZAI_API_KEY_FILE={tmp_path}: need a readable file that holds the Z.AI key"]


def test_the_demo_needs_no_key_but_right_settings() -> None:
    told = lines({**bare_environment(**free_ports()), "MAX_WORKERS": "0", "PROXY_PORT": "eighty"}, "demo")

    assert told == [
        "MAX_WORKERS=0: need a whole number from 1 to 10000",
        "PROXY_PORT=eighty: need a port from 1 to 65535",
    ]


@pytest.mark.parametrize("place", ["/" + 100 * "x", "/nowhere/extproc.sock"])
def test_a_socket_that_can_not_be_made(environment: dict[str, str], place: str) -> None:
    [told] = lines({**environment, "EXTPROC_SOCKET": place}, "extproc")

    assert told.startswith(f"EXTPROC_SOCKET={place[:50]}")
    assert told.endswith(": need a path in a writable directory, at most 100 bytes long")


@pytest.mark.parametrize(
    ("variable", "place", "why"),
    [
        ("TMPDIR", "", "is too long for a socket"),
        ("XDG_RUNTIME_DIR", "/nowhere", "can't be made (No such file or directory)"),
    ],
)
def test_no_place_for_a_socket_that_nobody_named(
    environment: dict[str, str], tmp_path: Path, variable: str, place: str, why: str
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()

    [told] = lines({**environment, variable: place or str(long)}, "extproc")

    assert told.startswith("EXTPROC_SOCKET is not set: need it, ")
    assert told.endswith(why)


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_where_the_locale_has_not_every_letter_files_are_read_and_printed_all_the_same(
    environment: dict[str, str], locale: dict[str, str]
) -> None:
    printed = start_in_vain({**environment, **locale}, "envoy-config")

    assert (printed.returncode, printed.stderr) == (0, "")
    assert yaml.safe_load(printed.stdout) == yaml.safe_load(start_in_vain(environment, "envoy-config").stdout)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["version", "envoy-config", "doctor", "--help"])
def test_an_output_without_room_is_one_line(environment: dict[str, str], command: str) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [str(ZAI_PROXY), command],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (1, "not all could be written (No space left on device)\n")
