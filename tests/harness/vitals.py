"""What no client may be able to harm, whatever it sends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from tests.harness.lenient_paths import readings
from tests.harness.plain_http import NO_TLS, PATIENCE
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import wait_until

OWNERS_PATHS: Final = ("/api/monitor", "/api/biz")
UPSTREAM_PATHS: Final = ("/api/anthropic", "/api/paas", "/api/coding", "/api/v1", "/api/mcp")
_ANTHROPIC: Final = "/api/anthropic"


@contextmanager
def unharmed(stack: Stack) -> Iterator[None]:
    """After the block: the same processes serve the next caller, no slot is lost, nothing unadmitted went upstream."""
    processes = (stack.processor, stack.envoy)
    yield
    assert processes == (stack.processor, stack.envoy)
    assert all(process.is_running for process in processes), "a process has died"
    stack.simulator.use()
    assert_serves(stack)
    assert_at_rest(stack)
    for entry in stack.simulator.log():
        assert_was_admitted(entry)


def assert_serves(stack: Stack) -> None:
    """The next request, on a new connection, is answered."""
    response = next_answer(stack)
    assert response.status_code == 200, response.text


def next_answer(stack: Stack) -> httpx.Response:
    """The answer to a plain request on a new connection."""
    with httpx.Client(verify=NO_TLS, timeout=PATIENCE) as client:
        return client.post(f"{stack.url}/v1/messages", json=PROMPT)


def assert_at_rest(stack: Stack) -> None:
    """Every slot is free, and Envoy sees no request either."""
    slots = re.compile(r"^zai_proxy_concurrent_requests\{.*\} 0\.0$", re.MULTILINE)
    with httpx.Client(verify=NO_TLS, timeout=PATIENCE) as client:
        wait_until(lambda: bool(slots.search(client.get(f"{stack.metrics_url}/metrics").text)), "every slot is free")
        active = f"{stack.admin_url}/stats?filter=^http.clients.downstream_rq_active$"
        wait_until(lambda: client.get(active).text.strip().endswith(": 0"), "Envoy has no request")


def assert_was_admitted(entry: dict[str, Any]) -> None:
    """An entry of the simulator's journal bears the marks of the processor's grant, and goes where clients may go.

    Only the processor knows the key, and it alone puts it into the one header that the surface wants.
    """
    path = str(entry["path"]).partition("?")[0]
    header = "x-api-key" if path.startswith(_ANTHROPIC) else "authorization"
    assert entry["key_seen_in"] == [header], entry
    others = {name: held for name, held in entry["credentials"].items() if name != header}
    assert set(others.values()) == {"absent"}, entry
    assert path.startswith(UPSTREAM_PATHS), entry
    assert not belongs_to_the_owner(path), entry


def belongs_to_the_owner(path: str) -> bool:
    """Whether an upstream, however leniently it reads a path, could take this one for the owner's account."""
    return any(reading.startswith(OWNERS_PATHS) for reading in readings(path))
