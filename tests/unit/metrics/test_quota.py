"""The series about the quota, as Prometheus reads them."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from extproc.domain.quota.quota import Quota, QuotaRules
from extproc.domain.quota.windows import WEEKLY, QuotaWindow
from extproc.domain.request.priority import Lane
from extproc.metrics.quota import QuotaCollector
from tests.unit.domain.quota.windows import CREDIT_LIMIT, DAY, HOUR, NOON, credit_window, sample, window

POLLS = {"success": 3, "error": 1, "malformed": 0, "stale": 0}


def scrape(quota: Quota, at: float = 0.0, webhook: dict[str, int] | None = None) -> dict[str, dict[str, float]]:
    """Values by name and labels, the labels in the form `a=b,c=d`. Raises on what Prometheus would refuse."""
    registry = CollectorRegistry()
    registry.register(
        QuotaCollector(lambda: quota.snapshot(NOON + at), lambda: POLLS, (lambda: webhook) if webhook else None)
    )
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for series in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
            assert labels not in found.setdefault(series.name, {})
            found[series.name][labels] = series.value
    return found


def test_each_window_has_its_figures() -> None:
    quota = Quota(QuotaRules())
    quota.take_sample(sample(credit_window(740), window(1.0, 2 * DAY, WEEKLY, CREDIT_LIMIT)), NOON)

    found = scrape(quota, at=5)

    five_hour, week = "limit_type=CREDIT_LIMIT,window=five_hour", "limit_type=CREDIT_LIMIT,window=weekly"
    assert found["zai_proxy_quota_usage_ratio"] == {five_hour: 0.37, week: 1.0}
    assert found["zai_proxy_quota_remaining_ratio"] == {five_hour: 0.63, week: 0.0}
    assert found["zai_proxy_quota_reset_time_seconds"] == {five_hour: NOON + 3 * HOUR, week: NOON + 2 * DAY}
    assert found["zai_proxy_quota_sample_age_seconds"] == {"": 5.0}
    assert found["zai_proxy_quota_gate_open"] == {"window=five_hour": 0, "window=weekly": 1, "window=monthly": 0}
    assert found["zai_proxy_quota_poll_total"] == {f"result={name}": count for name, count in POLLS.items()}
    assert found["zai_proxy_quota_unused_at_reset_ratio"][week] == 0


def test_before_the_first_report_only_what_is_known_is_there() -> None:
    found = scrape(Quota(QuotaRules()))

    assert sorted(found) == [
        "zai_proxy_quota_gate_open",
        "zai_proxy_quota_lane_share_ratio",
        "zai_proxy_quota_poll_total",
    ]


def test_windows_that_share_their_labels_are_one_series() -> None:
    quota = Quota(QuotaRules())
    odd = [QuotaWindow(f"unit9-{n}", f"NEW_{n}", used_ratio=n / 10) for n in range(5)]
    quota.take_sample(sample(*odd, QuotaWindow("other", "NEWER", None)), NOON)

    assert scrape(quota)["zai_proxy_quota_usage_ratio"] == {"limit_type=other,window=other": 0.4}


def test_the_moment_at_which_a_window_runs_out_is_there_while_it_would() -> None:
    early, lasting = Quota(QuotaRules()), Quota(QuotaRules())
    early.take_sample(sample(window(0.8)), NOON)
    lasting.take_sample(sample(window(0.1)), NOON)

    name, labels = "zai_proxy_quota_exhaustion_time_seconds", "limit_type=TOKENS_LIMIT,window=five_hour"
    assert NOON < scrape(early)[name][labels] < NOON + 3 * HOUR
    assert name not in scrape(lasting)


def test_what_the_plan_charged_and_we_did_not_count_is_a_figure() -> None:
    quota = Quota(QuotaRules())
    quota.take_sample(sample(credit_window(700)), NOON)
    quota.take_usage(Lane.MAIN, credits=90, cost=0.5)
    quota.take_sample(sample(credit_window(800), at=60), NOON + 60)

    found = scrape(quota, at=60)

    assert found["zai_proxy_quota_charged_credits"] == {"window=five_hour": 100}
    assert found["zai_proxy_quota_uncounted_credits"] == {"window=five_hour": 10}


def test_a_webhook_has_a_counter_when_there_is_one() -> None:
    found = scrape(Quota(QuotaRules()), webhook={"sent": 2, "failed": 0, "dropped": 0})

    assert found["zai_proxy_quota_webhook_total"]["result=sent"] == 2
