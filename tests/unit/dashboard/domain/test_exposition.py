"""Reading pages of metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dashboard.domain.exposition import PageReader, UnreadablePageError
from dashboard.domain.samples import Page
from extproc.metrics.requests import Metrics, VariantRegistry
from tests.unit.dashboard.build import counter, gauge


def page_of(metrics: Metrics) -> str:
    exported = CollectorRegistry()
    exported.register(VariantRegistry(metrics.registry, "production"))
    return generate_latest(exported).decode()


def read(text: str) -> Page:
    return PageReader().read(text)


def test_a_counter_is_summed_over_the_labels_that_nobody_asks_for() -> None:
    metrics = Metrics()
    metrics.requests.labels("POST", "/v1/messages", "200").inc(3)
    metrics.requests.labels("GET", "/v1/messages", "200").inc(2)
    metrics.requests.labels("POST", "/v1/messages", "429").inc()

    page = read(page_of(metrics))

    name = "zai_proxy_requests_total"
    assert page.counters[counter(name, path="/v1/messages", status_code="200")] == 5
    assert page.counters[counter(name, path="/v1/messages", status_code="429")] == 1
    assert len([key for key in page.counters if key.name == name]) == 2


def test_buckets_of_a_histogram_count_their_own_range_alone() -> None:
    metrics = Metrics()
    for seconds in (0.3, 0.4, 7.0, 1000.0):
        metrics.request_duration.labels("POST", "/v1/messages", "200").observe(seconds)
    metrics.request_duration.labels("POST", "/v1/messages", "201").observe(0.3)

    page = read(page_of(metrics))

    labels = {"path": "/v1/messages", "class": "2xx"}
    counts = {
        key.label("le"): value
        for key, value in page.counters.items()
        if key.name == "zai_proxy_request_duration_seconds_bucket" and value
    }
    assert counts == {"0.5": 3, "10.0": 1, "+Inf": 1}
    assert page.counters[counter("zai_proxy_request_duration_seconds_sum", **labels)] == pytest.approx(1008.0)


def test_clients_are_summed_away_but_reasons_are_kept() -> None:
    metrics = Metrics()
    metrics.rejections.labels("source-01", "capacity").inc()
    metrics.rejections.labels("source-02", "capacity").inc()
    metrics.rate_limit_wait.labels("source-01").observe(0.2)

    page = read(page_of(metrics))

    assert page.counters[counter("zai_proxy_rate_limit_rejections_total", reason="capacity")] == 2
    assert page.counters[counter("zai_proxy_rate_limit_wait_seconds_sum")] == pytest.approx(0.2)


def test_facts_are_read_and_never_stored() -> None:
    metrics = Metrics()
    metrics.build_info("1.2.3", "abc", "today")

    page = read(page_of(metrics))

    assert page.version == "1.2.3"
    assert page.started is not None
    assert not any("build_info" in key.name for key in (*page.counters, *page.gauges))


def test_what_a_newer_proxy_counts_is_kept_with_labels_that_say_what_happened() -> None:
    page = read(
        "# TYPE zai_proxy_news_total counter\n"
        'zai_proxy_news_total{variant="a",client="c",kind="x"} 4\n'
        "# TYPE zai_proxy_new_level gauge\n"
        'zai_proxy_new_level{lane="main"} 0.5\n'
        "# TYPE other_total counter\n"
        "other_total 7\n"
    )

    assert page.counters == {counter("zai_proxy_news_total", kind="x"): 4}
    assert page.gauges == {gauge("zai_proxy_new_level", lane="main"): 0.5}


def test_a_family_that_invents_labels_is_bounded() -> None:
    lines = "".join(f'zai_proxy_wild_total{{id="{number}"}} 1\n' for number in range(1000))

    page = read(f"# TYPE zai_proxy_wild_total counter\n{lines}")

    assert len(page.counters) == 65
    assert sum(page.counters.values()) == 1000
    assert page.counters[counter("zai_proxy_wild_total", id="other")] == 936


def test_a_line_may_end_in_a_timestamp() -> None:
    reader = PageReader()
    text = "# TYPE zai_proxy_a_total counter\nzai_proxy_a_total {} {}\n"

    values = [
        reader.read(text.format(value, 1764000000000 + value)).counters[counter("zai_proxy_a_total")]
        for value in (3, 4)
    ]

    assert values == [3, 4]


def test_values_that_are_no_numbers_are_left_out() -> None:
    page = read(
        "# TYPE zai_proxy_level gauge\nzai_proxy_level NaN\n"
        "# TYPE zai_proxy_b gauge\nzai_proxy_b +Inf\n"
        "# TYPE zai_proxy_c gauge\nzai_proxy_c 1\n"
    )

    assert page.gauges == {gauge("zai_proxy_c"): 1}


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>Not found</body></html>\nzai_proxy_a{ 1\n",
        "<html><body>A page of something else</body></html>",
        "",
        "process_start_time_seconds 17\n",
        "zai_proxy_requests_total\n",
        "# TYPE zai_proxy_a_total counter\nzai_proxy_a_total many\n",
        "zai_proxy_requests_total{a} x y\n",
    ],
)
def test_what_is_no_page_of_metrics_is_an_error_in_one_line(text: str) -> None:
    with pytest.raises(UnreadablePageError) as raised:
        read(text)

    assert "\n" not in str(raised.value)


def test_an_answer_of_a_million_lines_is_refused() -> None:
    with pytest.raises(UnreadablePageError, match="more than"):
        read("zai_proxy_a 1\n" * 60_000)


def test_a_value_that_stops_being_a_number_is_an_error_the_second_time_too() -> None:
    reader = PageReader()
    reader.read("# TYPE zai_proxy_a gauge\nzai_proxy_a 1\n")

    with pytest.raises(UnreadablePageError):
        reader.read("# TYPE zai_proxy_a gauge\nzai_proxy_a one\n")


def test_a_series_that_is_gone_from_the_page_is_gone() -> None:
    reader = PageReader()
    reader.read("# TYPE zai_proxy_a gauge\nzai_proxy_a 1\n# TYPE zai_proxy_b gauge\nzai_proxy_b 2\n")

    assert reader.read("# TYPE zai_proxy_b gauge\nzai_proxy_b 3\n").gauges == {gauge("zai_proxy_b"): 3}


@given(
    pages=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from(["/v1/messages", "/a b", 'q"\\']), st.sampled_from(["200", "429", "500"])),
            st.floats(0, 1e9),
            max_size=6,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_page_after_page_it_reads_what_prometheus_own_parser_reads(
    pages: list[dict[tuple[str, str], float]],
) -> None:
    reader = PageReader()
    for content in pages:
        metrics = Metrics()
        for (path, status), value in content.items():
            metrics.requests.labels("POST", path, status).inc(value)
        text = page_of(metrics)

        naive = {
            counter(
                "zai_proxy_requests_total", path=each.labels["path"], status_code=each.labels["status_code"]
            ): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if each.name == "zai_proxy_requests_total"
        }
        page = reader.read(text)
        assert {key: value for key, value in page.counters.items() if key.name == "zai_proxy_requests_total"} == naive
