"""Prompts are held before their sender has shown a token: a crowd of strangers must not fill the machine with them."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import bare_environment
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
STRANGERS = 200
PROMPT_BYTES = 8 * MIB - 4096
# What two threads may hold to read (100 MiB each) and the processor for pauses (64 MiB), twice for what is on its way
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


@contextmanager
def stack_with_tokens(directory: Path, **options: str) -> Iterator[tuple[Stack, str]]:
    """A proxy that asks for tokens, and the one that is right."""
    file = directory / "tokens.json"
    adding = [ZAI_PROXY, "token", "add", "anna"]
    environment = bare_environment(CLIENT_TOKENS_FILE=str(file))
    added = subprocess.run(adding, env=environment, capture_output=True, text=True, timeout=60, check=True)
    with running_stack(directory, CLIENT_TOKENS_FILE=str(file), **options) as stack:
        yield stack, added.stdout.strip()


def head_of_a_stranger() -> bytes:
    return (
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-api-key: wrong\r\n"
        f"content-length: {PROMPT_BYTES}\r\n\r\n"
    ).encode()


def ask(stack: Stack, token: str) -> int:
    return httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-api-key": token}, timeout=30).status_code


async def test_a_crowd_with_wrong_tokens_is_cut_before_it_fills_the_memory(tmp_path: Path) -> None:
    with stack_with_tokens(tmp_path) as (stack, token):
        head = head_of_a_stranger()
        piece = json.dumps({"model": "glm-5.3", "messages": "x" * MIB}).encode()[:MIB]
        crowd = [asyncio.create_task(send_without_a_token(stack.proxy_port, head, piece)) for _ in range(STRANGERS)]
        most = 0
        while not all(task.done() for task in crowd):
            most = max(most, resident_bytes(stack.envoy.pid))
            await asyncio.sleep(0.02)
        statuses = {task.result() for task in crowd}

        assert statuses <= {401, 429, 0}
        assert most < MOST_BYTES, f"{most / MIB:.0f} MiB"
        assert stack.simulator.log() == []
        await eventually(lambda: ask(stack, token), lambda status: status == 200)


def test_strangers_who_announce_much_and_send_nothing_shut_nobody_out(tmp_path: Path) -> None:
    with stack_with_tokens(tmp_path) as (stack, token), ExitStack() as opened:
        for _ in range(STRANGERS):
            stranger = opened.enter_context(socket.create_connection(("127.0.0.1", stack.proxy_port)))
            stranger.sendall(head_of_a_stranger() + b"{")

        statuses = [ask(stack, token) for _ in range(20)]

    assert set(statuses) == {200}
