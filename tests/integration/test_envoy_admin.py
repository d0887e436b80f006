"""What the supervisor asks Envoy's admin interface."""

import asyncio
from pathlib import Path

import httpx
import pytest

from extproc.launch.envoy_admin import EnvoyAdmin
from tests.harness.stack import PROMPT, Simulator, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

ACTIVE = "http.clients.downstream_rq_active"


async def test_probes_are_not_among_the_requests_that_run(tmp_path: Path, simulator: Simulator) -> None:
    """They come again and again: an end that waited until none runs would take all of DRAIN_TIMEOUT."""
    with running_stack(tmp_path, ZAI_TARGET_URL=simulator.url) as stack:
        async with httpx.AsyncClient(timeout=60) as client:
            admin = EnvoyAdmin(client, stack.admin_port)
            with simulator.frozen():
                request = asyncio.create_task(client.post(f"{stack.url}/v1/messages", json=PROMPT))
                await eventually(lambda: stack.envoy_stat("cluster.zai.upstream_rq_active"), lambda count: count == 1)
                with stack.processor.frozen():
                    asked = ["/health"] * 3 + ["/metrics"] * 2
                    probes = [asyncio.create_task(client.get(stack.url + path)) for path in asked]
                    await eventually(lambda: stack.envoy_stat(ACTIVE), lambda count: count == 1 + len(asked))
                    assert await admin.active_requests() == 1
            await asyncio.gather(request, *probes)
            await eventually(lambda: stack.envoy_stat(ACTIVE), lambda count: count == 0)
            assert await admin.active_requests() == 0
            stack.envoy.kill()
            assert await admin.active_requests() is None
