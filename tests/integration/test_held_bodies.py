"""Prompts are held before their sender has shown a token: a crowd of strangers must not fill the machine with them."""

import asyncio
import contextlib
import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import bare_environment
from tests.harness.stack import PROMPT, ZAI_PROXY, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
STRANGERS = 200
PROMPT_BYTES = 8 * MIB - 4096
# What two threads may hold to read (80 MiB each) and the processor for pauses (64 MiB), twice for what is on its way
# between them, and Envoy itself. All that the crowd sends is 1,600 MiB.
MOST_BYTES = 600 * MIB


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def send_without_a_token(port: int, head: bytes, piece: bytes) -> int:
    """The status of the answer; 0 where the connection was cut."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head)
            for _ in range(PROMPT_BYTES // len(piece)):
                writer.write(piece)
                await writer.drain()
            writer.write(piece[: PROMPT_BYTES % len(piece)])
            return int((await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)).split()[1])
        finally:
            writer.close()
    return 0


async def test_a_crowd_with_wrong_tokens_is_cut_before_it_fills_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    adding = [ZAI_PROXY, "token", "add", "anna"]
    environment = bare_environment(CLIENT_TOKENS_FILE=str(file))
    added = subprocess.run(adding, env=environment, capture_output=True, text=True, timeout=60, check=True)
    with running_stack(tmp_path, CLIENT_TOKENS_FILE=str(file)) as stack:
        head = (
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-api-key: wrong\r\n"
            f"content-length: {PROMPT_BYTES}\r\n\r\n"
        ).encode()
        piece = json.dumps({"model": "glm-5.3", "messages": "x" * MIB}).encode()[:MIB]
        crowd = [asyncio.create_task(send_without_a_token(stack.proxy_port, head, piece)) for _ in range(STRANGERS)]
        most = 0
        while not all(task.done() for task in crowd):
            most = max(most, resident_bytes(stack.envoy.pid))
            await asyncio.sleep(0.02)
        statuses = {task.result() for task in crowd}

        assert statuses <= {401, 0, 503}
        assert most < MOST_BYTES, f"{most / MIB:.0f} MiB"
        assert stack.simulator.log() == []

        def ask() -> int:
            return httpx.post(
                f"{stack.url}/v1/messages", json=PROMPT, headers={"x-api-key": added.stdout.strip()}, timeout=30
            ).status_code

        await eventually(ask, lambda status: status == 200)
