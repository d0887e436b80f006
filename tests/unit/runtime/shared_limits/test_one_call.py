"""What places cost of the store: one call, however many models they are of."""

import asyncio

from extproc.domain.pacing.records import Admitted, PacedRequest
from tests.harness.proxy_in_process import ProxyInProcess
from tests.harness.valkey import Valkey

REQUESTS = {f"r{number}": f"glm-{number}" for number in range(5)}
SETTLED = 60.0  # it takes 2.5 s


def calls(valkey: Valkey) -> int:
    """How often the script was called."""
    script: int = valkey.client().info("commandstats")["cmdstat_evalsha"]["calls"]
    return script


async def test_places_of_several_models_are_asked_for_and_granted_in_one_call(valkey: Valkey) -> None:
    service = ProxyInProcess(limits_url=valkey.url, limits_plan="one-call", concurrency_limit_initial=9).service
    sharing, pacing, now = service.shared, service.pacer.pacing, service.pacer.now
    assert sharing is not None
    async with asyncio.timeout(SETTLED):
        while not sharing.status().up:
            await sharing._exchange()
            await asyncio.sleep(sharing._replica.pause())
    for request, model in REQUESTS.items():
        pacing.arrive(PacedRequest(request, "source", asked=model, model=model), now())
    before = calls(valkey)

    await sharing._exchange()

    assert calls(valkey) == before + 1
    assert {each.id for each in pacing.due(now()) if isinstance(each.answer, Admitted)} == REQUESTS.keys()
