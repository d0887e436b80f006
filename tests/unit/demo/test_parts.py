"""What the demo is made of: its settings, its numbers, its table."""

import io
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from extproc.demo import table
from extproc.demo.numbers import History, Numbers, Totals, quantile, read_totals
from extproc.demo.run import environment
from extproc.demo.traffic import SAMPLES
from extproc.launch.banner import ready_text
from extproc.settings import Settings
from simulator.plan.keys import KEY_FORM
from tests.harness.processes import make_key

TOTALS = Totals(
    at=0,
    workers=12,
    max_workers=20,
    waiting=3,
    allowed_at_once=9,
    allowed_per_second=7.5,
    requests={"200": 1_234_567, "404": 12_345, "429": 12_345, "499": 12_345, "500": 12_345, "503": 12_345},
    refused={"capacity": 12_345},
    errors={"concurrency": 1_234, "overload": 1_234, "quota": 1_234, "unknown": 12_345},
    retries=12_345,
    tokens={"input": 123_456_789, "cache_read": 123_456_789, "output": 12_345_678},
    estimated_tokens=0,
    cost=12_345.6789,
    first_byte={0.5: 50.0, 1.0: 90.0, float("inf"): 100.0},
)
RUNNING: list[Mapping[str, Any]] = [
    {
        "path": "/v1/chat/completions",
        "model": "glm-5.3-flash",
        "client": "source-07",
        "age_seconds": 61.23,
        "response_bytes": 12_345_678,
    },
    {"path": "/v1/messages", "model": None, "client": "source-63", "age_seconds": 0.0, "response_bytes": 0},
] * 10


def test_a_demo_has_a_key_of_nobody_and_an_upstream_of_this_machine() -> None:
    key = make_key()
    with environment({"ZAI_API_KEY": key, "ZAI_TARGET_URL": "https://api.z.ai", "STATE_DIR": "/var/lib/x"}) as chosen:
        assert chosen["ZAI_API_KEY"] != key
        assert KEY_FORM.fullmatch(chosen["ZAI_API_KEY"])
        assert chosen["ZAI_TARGET_URL"].startswith("http://127.0.0.1:")
        assert chosen["STATE_DIR"] == ""
        assert chosen["DRAIN_TIMEOUT"] == "10"
        assert "Nothing goes to Z.AI." in chosen["DASHBOARD_NOTICE"]


def test_ports_that_are_given_stay_and_the_others_are_free_and_all_different() -> None:
    with environment({"PROXY_PORT": "9090", "METRICS_PORT": ""}) as chosen:
        ports = [chosen[name] for name in ("PROXY_PORT", "METRICS_PORT", "ENVOY_ADMIN_PORT", "DASHBOARD_PORT")]

    assert chosen["PROXY_PORT"] == "9090"
    assert len(set(ports)) == len(ports)


def test_a_default_port_that_is_taken_is_replaced() -> None:
    with ExitStack() as stack:
        with suppress(OSError):  # it is taken already, which is as good
            stack.enter_context(socket.create_server(("127.0.0.1", 9901)))
        chosen = stack.enter_context(environment({}))

        assert chosen["ENVOY_ADMIN_PORT"] != "9901"


def test_the_dashboards_file_goes_with_the_demo_unless_it_was_given() -> None:
    with environment({}) as chosen:
        path = Path(chosen["DB_PATH"])
        assert path.parent.is_dir()
    assert not path.parent.exists()

    with environment({"DB_PATH": "/data/mine.db"}) as chosen:
        assert chosen["DB_PATH"] == "/data/mine.db"


def test_samples_are_streams_json_an_abort_a_quota_error_and_a_path_that_is_not_there() -> None:
    bodies = [sample.body or {} for sample in SAMPLES]

    assert {body.get("stream") for body in bodies} == {True, False, None}
    assert any(sample.leave_after for sample in SAMPLES)
    assert any(sample.scenario.get("code") == "1308" for sample in SAMPLES)
    assert {sample.path.partition("?")[0] for sample in SAMPLES} >= {
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/nothing-here",
    }


def test_totals_are_read_from_the_text_of_metrics() -> None:
    text = """\
# TYPE zai_proxy_concurrent_requests gauge
zai_proxy_concurrent_requests{variant="v"} 4.0
# TYPE zai_proxy_requests_total counter
zai_proxy_requests_total{path="/a",status_code="200"} 2.0
zai_proxy_requests_total{path="/b",status_code="200"} 3.0
zai_proxy_requests_total{path="/b",status_code="404"} 0.0
# TYPE zai_proxy_time_to_first_byte_seconds histogram
zai_proxy_time_to_first_byte_seconds_bucket{le="0.5"} 1.0
zai_proxy_time_to_first_byte_seconds_bucket{le="+Inf"} 2.0
"""

    totals = read_totals(text, at=7.0)

    assert (totals.at, totals.workers, totals.requests) == (7.0, 4, {"200": 5})
    assert totals.first_byte == {0.5: 1.0, float("inf"): 2.0}


def test_rates_are_over_ten_seconds_and_begin_anew_with_the_processor() -> None:
    history = History()
    for second in range(31):
        numbers = history.add(replace(TOTALS, at=second, requests={"200": 2 * second}, tokens={"input": second}))
    assert (numbers.requests_per_second, numbers.tokens_per_second) == (2.0, 1.0)

    numbers = history.add(replace(TOTALS, at=31, requests={"200": 1}, tokens={}))
    assert (numbers.requests_per_second, numbers.tokens_per_second) == (0.0, 0.0)


def test_times_are_of_the_last_minute() -> None:
    history = History()
    history.add(replace(TOTALS, at=0, first_byte={1.0: 100, float("inf"): 100}))
    assert history.add(replace(TOTALS, at=30, first_byte={1.0: 100, float("inf"): 100})).first_byte_p50 is None

    numbers = history.add(replace(TOTALS, at=60, first_byte={1.0: 110, float("inf"): 110}))

    assert numbers.first_byte_p50 == pytest.approx(0.5)


def test_a_quantile_is_linear_in_its_bucket_and_never_beyond_the_last_bound() -> None:
    buckets = {0.5: 50.0, 1.0: 90.0, float("inf"): 100.0}

    assert quantile(0.5, buckets) == pytest.approx(0.5)
    assert quantile(0.7, buckets) == pytest.approx(0.75)
    assert quantile(0.95, buckets) == 1.0
    assert quantile(0.5, {}) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_a_quantile_lies_within_the_bounds(counts: list[int], share: float) -> None:
    bounds = [0.1 * 2**n for n in range(len(counts))]
    upto = {bound: float(sum(counts[: n + 1])) for n, bound in enumerate(bounds)}

    found = quantile(share, upto)

    assert found is None if not sum(counts) else found is not None and 0 <= found <= bounds[-1]


def screen(width: int, height: int) -> list[str]:
    """The table as a terminal of this size shows it."""
    console = Console(file=io.StringIO(), width=width, height=height)
    numbers = Numbers(TOTALS, 12.3, 12_345.6, 0.123, 12.345)
    console.print(table.table(numbers, RUNNING, "Ctrl-C stops it", width=width, height=height))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (140, 50), (200, 60)])
def test_the_table_fits_the_screen_below_the_announcement_without_a_wrapped_line(width: int, height: int) -> None:
    lines = screen(width, height)
    above = ready_text(Settings(), "http://127.0.0.1:8081").splitlines()

    assert len(lines) + len(above) < height
    assert max(map(len, lines)) <= width
    figures = [line[2:12].strip() for line in lines[1:10]]
    assert figures == ["Workers", "Pacing", "Requests", "", "Tokens", "Cost", "First byte", "Errors", "Refused"]


def test_requests_that_do_not_fit_are_counted() -> None:
    assert any("more" in line for line in screen(120, 40))
    assert not any("Running now" in line for line in screen(80, 24))


def test_where_there_is_no_terminal_the_same_is_one_line() -> None:
    line = table.line(Numbers(TOTALS, 12.3, 12_345.6, None, None))

    assert line.startswith("workers 12/20 | pacing 9 at once, 7.5/s   3 waiting | requests ")
    assert "\n" not in line
