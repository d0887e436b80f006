"""The snapshot of this moment."""

from dataclasses import replace
from typing import Any

from dashboard.domain.proxy_status import Limit, ModelLimit, Move, ProxyStatus, Running, SharedPlaces
from dashboard.domain.snapshot import Figures, TargetView, build
from dashboard.domain.stalls import StallWatch
from dashboard.domain.token_guess import TokenGuess
from dashboard.records.alerts import Alert, Severity
from dashboard.records.snapshot import TargetHealth
from tests.unit.dashboard.build import NO_FIGURES


def request(number: int, age: float, lane: str = "main", response_bytes: int = 0) -> Running:
    said = {
        "method": "POST",
        "path": "/v1/messages",
        "client": "anna",
        "program": "Codex",
        "session": None,
        "agent": None,
    }
    return Running(
        f"r-{number}",
        f"{number}",
        **said,
        lane=lane,
        model="m",
        model_asked="a",
        age=age,
        request_bytes=9,
        response_bytes=response_bytes,
    )


def view(status: ProxyStatus | None, number: int = 1, health: TargetHealth = TargetHealth.UP) -> TargetView:
    return TargetView(number, f"proxy-{number}", health, status, 2.0, lambda _id: 7.04, lambda _name: None)


def sharing(number: int, limit: float, used: float, leads: bool = False, **more: Any) -> TargetView:
    """A replica that shares a plan of so many with others, and has five places."""
    in_flight = Limit("in flight", limit, None, used, (Move(5.0, f"told by {number}"),))
    status = ProxyStatus(
        busy=int(used), limit=min(5, int(limit)), wall=5, limits=(in_flight,), shared=True, leads=leads
    )
    return view(replace(status, **more), number)


def snapshot_of(*targets: TargetView, alerts: tuple[Alert, ...] = ()) -> dict[str, Any]:
    """As the API tells of it."""
    return build(100.0, targets, [], Figures(NO_FIGURES), alerts, lambda _model, size: size).model_dump(mode="json")


def test_what_runs_is_told_over_all_proxies_oldest_first() -> None:
    seen = snapshot_of(
        view(ProxyStatus(2, 20, 20, running=(request(1, 3), request(2, 60, response_bytes=50))), 1),
        view(ProxyStatus(1, 20, 20, running=(request(3, 10),)), 2),
    )

    assert [(each["id"], each["target"], each["age"]) for each in seen["running"]] == [
        ("r-2", 1, 62.0), ("r-3", 2, 12.0), ("r-1", 1, 5.0),
    ]  # fmt: skip
    assert seen["running"][0]["tokens_estimated"] == 50
    assert seen["running"][0]["silent"] == 7.0
    assert [(each["model"], each["model_asked"]) for each in seen["running"]] == [("m", "a")] * 3
    assert {each["program"] for each in seen["running"]} == {"Codex"}
    assert seen["workers"] == {"busy": 3, "limit": 40, "wall": 40, "draining": False}
    assert seen["health"] == {"level": "ok", "headline": "Working: 3 of 40 places busy.", "since": None}


def test_a_proxy_that_no_longer_answers_runs_nothing() -> None:
    status = ProxyStatus(1, 20, 20, running=(request(1, 3),))

    seen = snapshot_of(view(status, 1, TargetHealth.STALE), view(ProxyStatus(0, 5, 5), 2))

    assert seen["running"] == []
    assert seen["workers"]["wall"] == 5
    assert [each["state"] for each in seen["targets"]] == ["stale", "up"]


def test_what_waits_is_told_by_lane_longest_first() -> None:
    waiting = (request(1, 3), request(2, 9, "background"), request(3, 5))

    seen = snapshot_of(view(ProxyStatus(4, 1, 20, running=(request(4, 1),), waiting=waiting)))

    assert [each["id"] for each in seen["waiting"]] == ["r-2", "r-3", "r-1"]
    assert seen["lanes"] == [
        {"lane": "main", "running": 1, "waiting": 2, "longest_wait": 7.0},
        {"lane": "background", "running": 0, "waiting": 1, "longest_wait": 11.0},
    ]
    assert seen["health"]["headline"] == "Working: 1 of 1 places busy, 3 waiting."


def test_who_waits_for_a_turn_holds_a_place_but_is_not_called_busy() -> None:
    status = ProxyStatus(3, 1, 20, running=(request(1, 1),), waiting=(request(2, 3), request(3, 5)))

    assert snapshot_of(view(status))["health"]["headline"] == "Working: 1 of 1 places busy, 2 waiting."


def test_a_long_list_is_cut_but_counted() -> None:
    seen = snapshot_of(view(ProxyStatus(running=tuple(request(number, number) for number in range(500)))))

    assert (len(seen["running"]), seen["running_total"]) == (200, 500)
    assert seen["lanes"][0]["running"] == 500


def test_a_proxy_without_a_status_tells_by_its_metrics() -> None:
    gauges = {
        "zai_proxy_concurrent_requests": 3.0, "zai_proxy_max_workers": 8.0, "zai_proxy_rate_limit_queued_requests": 4.0,
        "zai_proxy_concurrency_limit_requests": 2.0,
    }  # fmt: skip

    seen = snapshot_of(replace(view(None), gauge=gauges.get))

    assert seen["workers"] == {"busy": 3, "limit": 2, "wall": 8, "draining": False}
    assert seen["waiting_total"] == 4


def test_a_plan_that_replicas_share_counts_once() -> None:
    seen = snapshot_of(sharing(1, 9, 1), sharing(2, 9, 2, leads=True), sharing(3, 9, 0))

    assert seen["workers"] == {"busy": 3, "limit": 9, "wall": 15, "draining": False}
    assert seen["health"]["headline"] == "Working: 3 of 9 places busy."
    assert seen["limits"] == [
        {
            "target": 2, "replicas": 3, "name": "in flight", "value": 9, "ceiling": None, "used": 3,
            "moves": [{"at": 5.0, "text": "told by 2"}],
        }
    ]  # fmt: skip


def of_models(number: int, **places: tuple[int, int]) -> tuple[ModelLimit, ...]:
    """What a proxy says of its models: what runs and waits of each, and a move of its own."""
    moves = (Move(5.0, f"told by {number}"),)
    return tuple(ModelLimit(model, 6, 7, *counts, moves) for model, counts in places.items())


def test_the_places_of_a_model_that_replicas_share_are_listed_once_with_what_runs_at_all_of_them() -> None:
    seen = snapshot_of(
        sharing(1, 9, 1, model_limits=of_models(1, glm=(1, 2), mcp=(1, 0))),
        sharing(2, 9, 2, leads=True, model_limits=of_models(2, glm=(2, 3))),
        sharing(3, 3, 1, shared=False, model_limits=of_models(3, glm=(1, 0))),
    )

    told = [(each["target"], each["replicas"], each["model"], each["in_flight"]) for each in seen["model_limits"]]
    assert told == [(2, 2, "glm", 3), (3, 1, "glm", 1)]
    assert seen["model_limits"][0] == {
        "target": 2, "replicas": 2, "model": "glm", "value": 6, "ceiling": 7, "in_flight": 3, "waiting": 5,
        "moves": [{"at": 5.0, "text": "told by 2"}], "shares": None,
    }  # fmt: skip


def sharing_places(limits: tuple[ModelLimit, ...]) -> tuple[ModelLimit, ...]:
    """The same where all of these models share six places."""
    names = [limit.model for limit in limits]
    return tuple(
        replace(limit, shares=SharedPlaces(tuple(name for name in names if name != limit.model), (), 6))
        for limit in limits
    )


def test_what_runs_on_the_places_that_models_share_is_of_all_who_share_the_plan_and_of_nobody_else() -> None:
    seen = snapshot_of(
        sharing(1, 9, 1, model_limits=of_models(1, glm=(1, 2), air=(1, 0))),  # older: it tells of no shared places
        sharing(2, 9, 2, leads=True, model_limits=sharing_places(of_models(2, glm=(2, 3), air=(1, 0)))),
        sharing(3, 3, 1, shared=False, model_limits=sharing_places(of_models(3, glm=(1, 0), air=(1, 0)))),
    )

    assert [(each["target"], each["model"], each["shares"]) for each in seen["model_limits"]] == [
        (2, "glm", {"with": ["air"], "maybe_with": [], "value": 6, "in_flight": 5}),
        (2, "air", {"with": ["glm"], "maybe_with": [], "value": 6, "in_flight": 5}),
        (3, "glm", {"with": ["air"], "maybe_with": [], "value": 6, "in_flight": 2}),
        (3, "air", {"with": ["glm"], "maybe_with": [], "value": 6, "in_flight": 2}),
    ]


def test_what_runs_of_a_model_that_is_only_tried_counts_too() -> None:
    air, glm = of_models(1, air=(3, 0), glm=(1, 2))
    tried = replace(glm, shares=SharedPlaces((), ("air",), 4))

    (_, shown) = snapshot_of(sharing(1, 9, 1, shared=False, model_limits=(air, tried)))["model_limits"]

    assert shown["shares"] == {"with": [], "maybe_with": ["air"], "value": 4, "in_flight": 4}


def test_what_a_replica_has_learned_of_its_own_share_comes_on_top() -> None:
    seen = snapshot_of(sharing(1, 9, 1, leads=True), sharing(2, 9, 2), sharing(3, 3, 1, shared=False))

    assert seen["workers"]["limit"] == 12
    assert [(limit["target"], limit["replicas"], limit["value"]) for limit in seen["limits"]] == [(1, 2, 9), (3, 1, 3)]


def test_a_plan_of_more_than_there_are_places_is_no_more_than_these() -> None:
    assert snapshot_of(sharing(1, 50, 1), sharing(2, 50, 1))["workers"]["limit"] == 10
    assert snapshot_of(sharing(1, 50, 1, limits=()))["workers"]["limit"] == 5  # nothing paces them


def test_a_plan_is_shared_also_by_replicas_that_only_their_metrics_tell_of() -> None:
    gauges = {
        "zai_proxy_max_workers": 5.0, "zai_proxy_concurrency_limit_requests": 9.0, "zai_proxy_shared_limits_up": 1.0,
    }  # fmt: skip
    mute = [replace(view(None, number), gauge=gauges.get) for number in (1, 2)]

    assert snapshot_of(*mute, sharing(3, 9, 1))["workers"]["limit"] == 9


def test_while_no_leader_is_heard_another_tells_of_the_plan() -> None:
    assert [limit["target"] for limit in snapshot_of(sharing(1, 9, 1), sharing(2, 9, 2))["limits"]] == [1]


def test_what_waits_by_the_proxys_own_list_is_not_contradicted_by_an_older_gauge() -> None:
    gauges = {"zai_proxy_rate_limit_queued_requests": 10.0}
    listed = replace(view(ProxyStatus(running=(request(1, 1),))), gauge=gauges.get)

    assert snapshot_of(listed)["waiting_total"] == 0
    assert snapshot_of(listed, replace(view(None, 2), gauge=gauges.get))["waiting_total"] == 10


def test_the_first_sentence_says_whether_it_is_working() -> None:
    alert = Alert(
        id="key", severity=Severity.CRITICAL, title="Z.AI does not accept the key", advice="Look at it.", since=5.0
    )
    note = alert.model_copy(update={"severity": Severity.INFO})
    assert snapshot_of(view(None, health=TargetHealth.NEW))["health"]["level"] == "unknown"
    assert snapshot_of()["health"]["level"] == "unknown"
    assert snapshot_of(view(ProxyStatus(0, 9, 9)))["health"]["headline"] == "Ready: nothing runs at the moment."
    assert snapshot_of(view(ProxyStatus()), alerts=(alert,))["health"] == {
        "level": "critical", "headline": "Z.AI does not accept the key", "since": 5.0,
    }  # fmt: skip
    assert snapshot_of(view(ProxyStatus()), alerts=(note,))["health"]["level"] == "ok"


def running(size: int) -> tuple[Running, ...]:
    return (request(1, 3, response_bytes=size),)


def test_a_request_is_silent_since_its_answer_last_grew() -> None:
    watch = StallWatch()
    for size, now in ((0, 100.0), (50, 105.0), (50, 110.0)):
        watch.update(running(size), now)

    assert watch.silent("r-1", 112.0) == 7.0
    assert watch.silent("r-2", 112.0) is None
    watch.update(ProxyStatus().running, 115.0)
    assert watch.silent("r-1", 116.0) is None


def test_tokens_so_far_are_guessed_by_what_finished_answers_of_the_model_came_to() -> None:
    guess = TokenGuess()
    assert guess.guess("a", 1000) is None

    guess.learn("a", 10_000.0, 100)
    guess.learn("b", 20_000.0, 100)
    guess.learn("b", 30.0, 1)  # too short to learn from
    guess.learn("b", None, 100)

    assert guess.guess("a", 1000) == 10
    assert guess.guess("b", 1000) == 5
    assert guess.guess("c", 1100) == 10  # by all models together
    assert guess.guess("a", None) is None
