"""How the demo looks, and the numbers that it shows."""

import io
from typing import Any

import pytest
from rich.console import Console

from extproc.demo_numbers import History, Totals, quantile, read_totals
from extproc.demo_table import line, table

METRICS = """\
# TYPE zai_proxy_concurrent_requests gauge
zai_proxy_concurrent_requests{variant="production"} 3.0
# TYPE zai_proxy_max_workers gauge
zai_proxy_max_workers{variant="production"} 20.0
# TYPE zai_proxy_requests counter
zai_proxy_requests_total{path="/v1/messages",status_code="200"} 40.0
zai_proxy_requests_total{path="/v1/models",status_code="200"} 2.0
zai_proxy_requests_total{path="/v1/messages",status_code="429"} 1.0
zai_proxy_requests_total{path="/v1/messages",status_code="502"} 0.0
# TYPE zai_proxy_zai_errors counter
zai_proxy_zai_errors_total{class="quota",code="1308"} 1.0
# TYPE zai_proxy_tokens counter
zai_proxy_tokens_total{direction="input"} 1500.0
zai_proxy_tokens_total{direction="output"} 500.0
# TYPE zai_proxy_estimated_cost_usd counter
zai_proxy_estimated_cost_usd_total{model="glm-5.3"} 0.25
# TYPE zai_proxy_time_to_first_byte_seconds histogram
zai_proxy_time_to_first_byte_seconds_bucket{le="1.0"} 10.0
zai_proxy_time_to_first_byte_seconds_bucket{le="2.0"} 20.0
zai_proxy_time_to_first_byte_seconds_bucket{le="+Inf"} 20.0
zai_proxy_time_to_first_byte_seconds_count 20.0
zai_proxy_time_to_first_byte_seconds_sum 20.0
"""
REQUEST = {"path": "/v1/messages", "model": "glm-5.3", "client": "demo", "age_seconds": 1.25, "response_bytes": 2048}


def totals(at: float = 0.0, text: str = METRICS) -> Totals:
    return read_totals(text, at)


def shown(running: list[dict[str, Any]], width: int = 100, height: int = 50) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(table(History().add(totals()), running, "Ctrl-C stops it", width=width, height=height))
    return capture.get()


def test_totals_are_sums_over_what_the_demo_does_not_tell_apart() -> None:
    read = totals()

    assert (read.workers, read.max_workers, read.cost) == (3, 20, 0.25)
    assert read.requests == {"200": 42, "429": 1}
    assert read.errors == {"quota": 1}


def test_rates_are_of_the_last_ten_seconds() -> None:
    history = History()
    history.add(totals(at=0.0))
    history.add(totals(at=100.0))
    later = METRICS.replace(" 40.0", " 50.0").replace(" 1500.0", " 1600.0")

    numbers = history.add(totals(at=105.0, text=later))

    assert numbers.requests_per_second == pytest.approx(2.0)
    assert numbers.tokens_per_second == pytest.approx(20.0)


def test_a_restarted_processor_makes_no_rate_negative() -> None:
    history = History()
    history.add(totals(at=0.0))

    numbers = history.add(totals(at=1.0, text=METRICS.replace(" 40.0", " 0.0")))

    assert numbers.requests_per_second == 0.0


def test_a_quantile_is_linear_within_its_bucket_and_bounded_by_the_last_finite_one() -> None:
    assert quantile(0.5, {1.0: 10, 2.0: 20, float("inf"): 20}) == pytest.approx(1.0)
    assert quantile(0.75, {1.0: 10, 2.0: 20, float("inf"): 20}) == pytest.approx(1.5)
    assert quantile(0.95, {1.0: 0, float("inf"): 5}) == pytest.approx(1.0)
    assert quantile(0.5, {}) is None


def test_the_table_shows_figures_and_running_requests() -> None:
    text = shown([REQUEST])

    for piece in ("quota 1", "zai-proxy demo: Ctrl-C stops it", "3 of 20 busy", "$0.2500"):
        assert piece in text
    for piece in ("/v1/messages", "glm-5.3", "1.2 s", "2.0 kB"):
        assert piece in text


@pytest.mark.parametrize("height", [24, 27, 30, 50])
def test_the_table_fits_the_screen_below_the_announcement(height: int) -> None:
    lines = shown([REQUEST] * 40, width=80, height=height).splitlines()

    assert len(lines) <= max(height - 11, 13)
    assert max(map(len, lines)) <= 80


def test_a_table_keeps_its_height() -> None:
    assert len({len(shown([REQUEST] * count).splitlines()) for count in (0, 1, 5, 40)}) == 1


def test_more_requests_than_rows_are_counted() -> None:
    text = shown([REQUEST] * 40, height=30)

    assert "and 36 more" in text


def test_without_a_terminal_it_is_one_line() -> None:
    text = line(History().add(totals()))

    assert "\n" not in text
    for piece in ("workers 3/20", "requests 43", "errors quota 1", "first byte p50"):
        assert piece in text
