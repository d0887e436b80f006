"""Many readers of /api/events, and how long an event takes to reach the last of them."""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REQUEST = b"event: request"


@dataclass(slots=True)
class FanOut:
    """What came in. `delays` are seconds from the end of a request to each reader's hearing of it."""

    readers: int = 0
    events: int = 0
    bytes: int = 0
    delays: list[float] = field(default_factory=list)

    def delay(self, share: float) -> float:
        """In seconds."""
        return statistics.quantiles(self.delays, n=100)[round(share * 100) - 1] if len(self.delays) > 1 else 0.0


async def listen(url: str, readers: int, seconds: float) -> FanOut:
    """So many readers for so long."""
    found = FanOut(readers)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(readers):
            tasks.create_task(_read(url, seconds, found))
    return found


async def _read(url: str, seconds: float, found: FanOut) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=4 * 1024 * 1024)
    writer.write(f"GET /api/events HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode())
    deadline = asyncio.get_running_loop().time() + seconds
    is_request = False
    try:
        async with asyncio.timeout_at(deadline):
            async for line in reader:
                found.bytes += len(line)
                if line.startswith(b"event: "):
                    found.events += 1
                    is_request = line.startswith(_REQUEST)
                elif is_request and line.startswith(b"data: "):
                    found.delays.append(time.time() - json.loads(line[6:])["ended"])
    except TimeoutError:
        return
    finally:
        writer.close()
