"""Sends the demo's sample traffic to a proxy, until it is told to stop: `sample_traffic.py URL MAX_WORKERS`."""

import asyncio
import signal
import sys

import httpx

from extproc.demo.traffic import Traffic

_ANSWER_SECONDS = 60.0


async def send(url: str, max_workers: int) -> None:
    """Returns once SIGTERM has come and the answers are there."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        await Traffic(client, url, max_workers).run(stopping)


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], int(sys.argv[2])))
