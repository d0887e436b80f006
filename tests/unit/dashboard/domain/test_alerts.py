"""When a person is told, and what."""

import re
from dataclasses import replace
from typing import Any

from dashboard.domain.advice import REFUSED_CLIENTS, Trouble, troubles
from dashboard.domain.alerts import Alert, Alerts
from dashboard.domain.proxy_status import QuotaWindow, RefusedIdentity
from dashboard.domain.rules import Situation, TargetTrouble, judge
from dashboard.records.alerts import AlertState, Severity
from dashboard.records.snapshot import Origin, TargetHealth
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.usage.outcome import ErrorType
from tests.harness.processes import ROOT
from tests.unit.dashboard.build import counter, running, waiting

DOWN = Alert("target-stale:1", Severity.CRITICAL, "no answer", "look")
TARGET = TargetTrouble(1, "http://a/metrics", TargetHealth.UP, None, 0.0, False, False)
CALM = Situation(1000.0, [TARGET], [], [], [], 100.0, 0.0, [], [], None, {}, {})


def test_an_alert_is_raised_once_and_cleared_once_it_has_been_quiet_for_a_while() -> None:
    alerts, heard = Alerts(), []
    for now, found in ((0, [DOWN]), (5, [DOWN]), (10, []), (15, []), (20, []), (25, [])):
        heard += [(change.at, change.state) for change in alerts.update(found, now)]

    assert heard == [(0, AlertState.RAISED), (20, AlertState.CLEARED)]


def test_an_alert_that_comes_and_goes_is_raised_once() -> None:
    alerts = Alerts()

    changes = [change for now in range(0, 100, 5) for change in alerts.update([DOWN] if now % 10 else [], now)]

    assert len(changes) == 1


def test_an_alert_that_gets_worse_is_raised_again() -> None:
    alerts = Alerts()
    alerts.update([replace(DOWN, severity=Severity.WARNING)], 0)

    (change,) = alerts.update([DOWN], 5)

    assert (change.state, change.alert.severity) == (AlertState.RAISED, Severity.CRITICAL)
    assert [each.since for each in alerts.standing()] == [0]


def test_the_worst_stands_first() -> None:
    alerts = Alerts()
    alerts.update(
        [replace(DOWN, id="b", severity=Severity.INFO), DOWN, replace(DOWN, id="c", severity=Severity.WARNING)], 0
    )

    assert [each.severity for each in alerts.standing()] == ["critical", "warning", "info"]


def test_a_clock_that_goes_back_leaves_no_alert_standing_for_ever() -> None:
    alerts = Alerts()
    alerts.update([DOWN], 10_000)

    assert [change.state for change in alerts.update([], 50)] == [AlertState.CLEARED]


def test_alerts_are_bounded() -> None:
    alerts = Alerts()
    alerts.update([replace(DOWN, id=str(number)) for number in range(1000)], 0)

    assert len(alerts.standing()) == 100


def alerts(**situation: Any) -> dict[str, Alert]:
    return {alert.id: alert for alert in judge(replace(CALM, **situation))}


def test_when_all_is_well_nobody_is_told_anything() -> None:
    assert alerts() == {}


def test_a_proxy_that_no_longer_answers_is_told_with_how_long_and_why() -> None:
    target = replace(TARGET, health=TargetHealth.STALE, error="nobody listens there", silent_for=75.0)

    alert = alerts(targets=[target])["target-stale:1"]

    assert alert.title == "http://a/metrics has not answered for 75 s"
    assert "nobody listens there" in alert.advice
    assert alerts(targets=[replace(TARGET, health=TargetHealth.LATE)]) == {}


def test_several_proxies_behind_one_address_and_a_refused_feed_are_told() -> None:
    assert alerts(targets=[replace(TARGET, is_several=True, feed_denied=True)]).keys() == {
        "target-several:1", "feed-denied:1",
    }  # fmt: skip


def test_a_plan_that_will_not_last_is_told_before_it_is_used_up() -> None:
    early = QuotaWindow("five_hour", "T", 0.5, resets_at=9000.0, runs_out_at=4600.0)

    assert alerts(quota=[early])["quota-early:five_hour:T"].title == "The five-hour quota lasts only 60 min more"
    assert alerts(quota=[replace(early, runs_out_at=9500.0)]) == {}
    assert alerts(quota=[replace(early, used=1.0)]).keys() == {"quota-used:five_hour:T"}
    closed = alerts(quota=[replace(early, gate_closed=True)])["quota-closed:five_hour:T"]
    assert (closed.severity, "for 2 h" in closed.title) == (Severity.CRITICAL, True)


def test_figures_of_the_plan_that_are_old_are_told() -> None:
    window = QuotaWindow("weekly", "T", 0.5, None, sample_age=7200.0)

    assert "quota-old" in alerts(quota=[window])
    assert alerts(quota=[window, replace(window, window="five_hour", sample_age=5.0)]) == {}


def test_a_key_that_is_not_accepted_is_told_at_its_first_error() -> None:
    trouble = Trouble(Origin.ZAI, "auth", 1, {"1001": 1}, "title", "advice")

    assert alerts(troubles=[trouble]).keys() == {"zai-auth"}


def test_a_client_that_z_ai_refuses_is_named_once_with_where_to_look() -> None:
    refused = [RefusedIdentity("laptop-anna", "openai-python", "1305", 2), RefusedIdentity("ci", None, None, 1)]

    found = alerts(refused_identities=[*refused, replace(refused[0], refusals=3)])

    anna, ci = found["identity:laptop-anna:openai-python"], found["identity:ci:"]
    assert anna.title == "Z.AI refuses this client: laptop-anna (openai-python)"
    assert anna.advice == f"It was refused 5 times with 1305 while others passed. Look at {REFUSED_CLIENTS}."
    assert (ci.title, ci.advice[:20]) == ("Z.AI refuses this client: ci", "It was refused once ")
    assert anna.severity is Severity.WARNING


def test_a_client_that_people_gave_a_name_is_called_by_it_in_an_alert() -> None:
    refused = [RefusedIdentity("source-17", "openai-python", "1305", 2), RefusedIdentity("source-18", None, None, 1)]

    found = alerts(refused_identities=refused, names={"source-17": "Anna's laptop", "source-18": "CI"})

    assert {id_: alert.title for id_, alert in found.items()} == {
        "identity:source-17:openai-python": "Z.AI refuses this client: Anna's laptop (source-17, openai-python)",
        "identity:source-18:": "Z.AI refuses this client: CI (source-18)",
    }


def test_where_a_person_is_sent_to_look_is_written() -> None:
    page, _, anchor = REFUSED_CLIENTS.partition("#")
    headings = [line.lstrip("# ") for line in (ROOT / page).read_text().splitlines() if line.startswith("#")]

    assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_many_failed_requests_are_told_few_are_not() -> None:
    assert alerts(failed=10.0, requests=100.0) == {}
    assert alerts(failed=4.0, requests=4.0) == {}
    assert alerts(failed=30.0)["failing"].severity is Severity.WARNING
    assert alerts(failed=60.0)["failing"].severity is Severity.CRITICAL


def test_long_waits_and_long_silences_are_told() -> None:
    assert "waiting" in alerts(waiting=[waiting(61.0)])
    assert "silent" in alerts(running=[running(301.0), running(None)])
    assert alerts(waiting=[waiting(5.0)], running=[running(40.0)]) == {}


def test_a_store_that_can_not_be_written_and_a_name_without_address_are_told() -> None:
    found = alerts(store_error="the database can't be written: disk full", unresolved={"dns+http://x": "no such name"})

    assert found.keys() == {"store", "name-unresolved:dns+http://x"}
    assert found["store"].advice.startswith("The database can't be written: disk full.")


def test_errors_are_told_by_kind_with_their_codes_most_frequent_first() -> None:
    found = troubles(
        [
            (counter("zai_proxy_zai_errors_total", **{"class": "concurrency", "code": "1302"}), 5.0),
            (counter("zai_proxy_zai_errors_total", **{"class": "concurrency", "code": "3008"}), 7.0),
            (counter("zai_proxy_upstream_errors_total", error_type="timeout"), 20.0),
            (counter("zai_proxy_upstream_errors_total", error_type="429"), 12.0),  # Z.AI's codes tell of those
            (counter("zai_proxy_rate_limit_rejections_total", reason="capacity"), 1.0),
            (counter("zai_proxy_requests_total", status_code="200"), 100.0),
        ]
    )

    assert [(each.origin.value, each.name, each.count) for each in found] == [
        ("way", "timeout", 20), ("zai", "concurrency", 12), ("proxy", "capacity", 1),
    ]  # fmt: skip
    assert list(found[1].codes) == ["3008", "1302"]


def test_every_kind_of_trouble_that_a_proxy_counts_comes_with_advice_of_its_own() -> None:
    counts = [
        *((counter("zai_proxy_zai_errors_total", **{"class": each, "code": "1"}), 1.0) for each in ErrorClass),
        *((counter("zai_proxy_upstream_errors_total", error_type=each), 1.0) for each in ErrorType),
        *(
            (counter("zai_proxy_rate_limit_rejections_total", reason=each), 1.0)
            for each in ("capacity", "rate", "quota", "draining")
        ),
    ]

    found = troubles(counts)

    assert len(found) == len(counts)
    assert not [each.name for each in found if "requests table" in each.advice]
