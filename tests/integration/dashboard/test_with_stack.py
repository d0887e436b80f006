"""The dashboard beside the real proxy: what it shows is what the simulated Z.AI did."""

import asyncio
import operator
import secrets
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.integration.dashboard.running import Dashboard, eventually

pytestmark = pytest.mark.slow

TOKEN = secrets.token_urlsafe()


@pytest.fixture
async def beside(stack: Stack, tmp_path: Path) -> Dashboard:
    return Dashboard(tmp_path / "x.db", f"{stack.metrics_url}/metrics", dashboard_token=TOKEN)


async def test_numbers_equal_what_the_simulator_did(stack: Stack, beside: Dashboard) -> None:
    before = stack.metrics_at_rest().value("zai_proxy_requests_total")
    beside.client.headers["authorization"] = f"Bearer {TOKEN}"
    await beside.start()
    await beside.until_up()
    session = str(uuid4())
    async with httpx.AsyncClient(timeout=20, headers={"x-claude-code-session-id": session}) as client:
        answers = [await client.post(f"{stack.url}/v1/messages", json=PROMPT) for _ in range(5)]
        answers.append(
            await client.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": '{"code": "1308"}'})
        )
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]

    table = await eventually(lambda: beside.get("/api/requests", session=session), lambda table: table["total"] == 6)

    requests = table["requests"]
    assert sorted(each["status"] for each in requests) == [200] * 5 + [429]
    reported = [answer.json()["usage"] for answer in answers[:5]]
    assert sum(each["tokens"]["output"] for each in requests) == sum(each["output_tokens"] for each in reported)
    usage = await beside.get("/api/breakdown", by="path", path="/v1/messages")
    assert usage["total"]["requests"] >= 6
    await eventually(lambda: beside.counted(step=3600), lambda count: count >= 6)
    assert stack.metrics().value("zai_proxy_requests_total") == before + 6
    now = await eventually(beside.now, lambda now: now["errors"])
    assert [(each["source"], each["class"]) for each in now["errors"]] == [("zai", "quota")]
    await beside.stop()


async def test_a_request_that_is_ended_here_frees_its_slot(stack: Stack, beside: Dashboard) -> None:
    stack.simulator.use(events=2000, pause=0.05)
    beside.client.headers["authorization"] = f"Bearer {TOKEN}"
    await beside.start()
    await beside.until_up()
    async with httpx.AsyncClient(timeout=20) as client:
        running = asyncio.create_task(client.post(f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}))
        async with beside.events() as events:
            while True:
                _, now = await events.next("now")
                if now["running"]:
                    break
        assert now["workers"]["busy"] == 1

        response = await beside.client.post(f"/api/requests/{now['running'][0]['id']}/cancel")

        assert response.status_code == 202
        with pytest.raises(httpx.HTTPError):
            await running
    await eventually(beside.now, lambda now: now["workers"]["busy"] == 0)
    ended = now["running"][0]["id"]
    await eventually(
        lambda: beside.get("/api/requests"),
        lambda table: ended in [request["running_id"] for request in table["requests"]],
    )
    await beside.stop()


async def test_a_proxy_that_is_killed_and_comes_back_loses_no_count(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        dashboard = await Dashboard(tmp_path / "x.db", f"{stack.metrics_url}/metrics").start()
        await dashboard.until_up()
        async with httpx.AsyncClient(timeout=20) as client:
            for round_number in range(2):
                for _ in range(3):
                    await client.post(f"{stack.url}/v1/messages", json=PROMPT)
                await eventually(dashboard.counted, partial(operator.eq, 3.0 * (round_number + 1)))
                if round_number == 0:
                    stack.processor.kill()
                    await eventually(dashboard.target, lambda target: target["state"] == "stale")
                    await asyncio.to_thread(stack.restart_processor)
                    await dashboard.until_up()
        kinds = [mark["kind"] for mark in (await dashboard.get("/api/series", name="requests"))["marks"]]
        assert kinds == ["started", "lost", "started", "back"]
        await dashboard.stop()
