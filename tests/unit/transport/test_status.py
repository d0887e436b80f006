"""What /status says of requests and models: asked of the proxy's own admin app."""

import time
from dataclasses import replace

from dashboard.fetch import LARGEST_ANSWER
from extproc.domain.clients.usage_ledger import Used
from extproc.domain.request.model_names import model_name
from extproc.domain.usage.log_entry import EntryKind, LogEntry, ReadAnswer
from tests.harness.proxy_in_process import ProxyInProcess


def ended(asked: str, served: str, **fields: object) -> LogEntry:
    known = {"exchange_id": "x", "path_label": "/v1/messages", "status": 200, "model_asked": asked}
    answer = ReadAnswer(kind="events", model=served, begun=True, final=True)
    return LogEntry(
        EntryKind.REQUEST,
        "POST",
        "/v1/messages",
        "r",
        time.time(),
        answer=answer,
        **{**known, **fields},  # type: ignore[arg-type]
    )


async def status(proxy: ProxyInProcess) -> dict[str, list[dict[str, object]]]:
    answer: dict[str, list[dict[str, object]]] = (await proxy.get("/status")).json()
    return answer


async def test_a_request_shows_the_model_that_it_asks_for_while_it_waits_and_while_it_runs() -> None:
    proxy = ProxyInProcess(concurrency_limit_initial=1)
    proxy.arrive("runs", asked="claude-opus-5")
    proxy.arrive("waits", asked="glm-4.7")
    proxy.arrive("unread")

    page = await status(proxy)

    assert [(each["id"], each["model_asked"], each["model"]) for each in page["requests"]] == [
        ("runs", "claude-opus-5", None)
    ]
    assert [(each["id"], each["model_asked"], each["model"]) for each in page["waiting"]] == [
        ("waits", "glm-4.7", None),
        ("unread", None, None),
    ]
    assert page["models"] == []


async def test_what_served_a_name_before_is_shown_until_the_answer_says_it() -> None:
    proxy = ProxyInProcess(concurrency_limit_initial=1)
    proxy.service.recorder.record(ended("claude-opus-5", "glm-5.3"))
    proxy.arrive("runs", asked="claude-opus-5").model = "glm-5.2"
    proxy.arrive("waits", asked="claude-opus-5")

    page = await status(proxy)

    assert page["models"] == [{"asked": "claude-opus-5", "served": "glm-5.3"}]
    assert [page["requests"][0]["model"], page["waiting"][0]["model"]] == ["glm-5.2", "glm-5.3"]


async def test_an_answer_that_goes_on_teaches_already() -> None:
    proxy = ProxyInProcess()

    proxy.service.recorder.record(replace(ended("claude-opus-5", "glm-5.3"), kind=EntryKind.PROGRESS))

    assert (await status(proxy))["models"] == [{"asked": "claude-opus-5", "served": "glm-5.3"}]


async def test_a_model_shows_the_places_that_it_shares_and_with_whom() -> None:
    proxy = ProxyInProcess()
    proxy.let_share("glm-4.7", "glm-5.3", places=6)
    for number, model in enumerate(("glm-4.7", "glm-4.7", "glm-5.3", "glm-4.6")):
        proxy.arrive(f"r-{number}", asked=model)

    shares = {each["name"]: each["shares"] for each in (await status(proxy))["model_limits"]}

    assert shares == {
        "glm-4.6": None,
        "glm-4.7": {"with": ["glm-5.3"], "maybe_with": [], "limit": 6, "in_flight": 3},
        "glm-5.3": {"with": ["glm-4.7"], "maybe_with": [], "limit": 6, "in_flight": 3},
    }


async def test_what_was_refused_or_failed_teaches_nothing() -> None:
    proxy = ProxyInProcess()
    for entry in (
        ended("glm-5.3", "", status=429, business_code="1302"),
        ended("glm-5.3", "glm-5.3", business_code="1305"),
        ended("", "glm-5.3"),
    ):
        proxy.service.recorder.record(entry)

    assert (await status(proxy))["models"] == []


async def test_a_name_of_the_upstream_cannot_hurt_the_page() -> None:
    proxy = ProxyInProcess()
    proxy.service.recorder.record(ended("glm-5.3", "<b>\n" + "x" * 300))

    assert (await status(proxy))["models"] == [{"asked": "glm-5.3", "served": model_name("<b>\n" + "x" * 300)}]


async def test_a_month_of_ever_new_clients_is_no_more_than_the_dashboard_takes() -> None:
    proxy = ProxyInProcess()
    used, now = Used(10**9, 10**12, 10**12, 10**9 / 3, 10**9 / 3), time.time()
    for day in range(31, -1, -1):
        for number in range(6000):
            proxy.service.clients.usage.add(f"{number:064}", "m" * 64, "p" * 64, used, now - day * 86400)

    page = await proxy.get("/status")

    assert len(page.content) < LARGEST_ANSWER / 2
    assert len({row["day"] for row in page.json()["usage"]}) == 31
    assert sum(row["requests"] for row in page.json()["usage"]) == 31 * 6000 * 10**9


async def test_every_limit_says_whose_account_it_is_of() -> None:
    proxy = ProxyInProcess()
    proxy.arrive("runs", asked="glm-4.7")

    page = await status(proxy)

    assert [(each["account"], each["name"]) for each in (*page["limits"], *page["model_limits"])] == [
        ("main", "in flight"),
        ("main", "requests/s"),
        ("main", "glm-4.7"),
    ]
