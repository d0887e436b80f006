"""Requests of a client whose session nobody else has, so that a test finds its own."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from tests.harness import plain_http
from tests.harness.stack import PROMPT, Stack


class Caller:
    """Asks the proxy as Claude Code would, in one session."""

    def __init__(self, stack: Stack, user_agent: str = "claude-cli/2.1 (external, cli)") -> None:
        self.session = str(uuid.uuid4())
        self._client = httpx.Client(
            base_url=stack.url,
            headers={"x-claude-code-session-id": self.session, "user-agent": user_agent},
            verify=plain_http.NO_TLS,
            timeout=plain_http.PATIENCE,
        )

    def ask(self, **scenario: Any) -> httpx.Response:
        """One whole answer; `scenario` is what the simulated Z.AI does."""
        return self._client.post("/v1/messages", json=PROMPT, headers={"x-sim": json.dumps(scenario)})

    @contextmanager
    def stream(self) -> Iterator[Iterator[bytes]]:
        """The rest of an answer of many minutes whose first bytes are there; the client leaves with the block."""
        body = {**PROMPT, "stream": True}
        headers = {"x-sim": json.dumps({"events": 5000, "pause": 0.05})}
        with self._client.stream("POST", "/v1/messages", json=body, headers=headers) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            yield pieces

    def list_models(self, times: int) -> None:
        """So many requests that cost next to nothing, four at once."""
        with ThreadPoolExecutor(4) as threads:
            for answer in threads.map(lambda _: self._client.get("/v1/models"), range(times)):
                assert answer.is_success

    def close(self) -> None:
        self._client.close()
