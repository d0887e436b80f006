"""The shared limits at work: reports to the store, hears the answer, and goes on alone while there is none.

Only this module speaks Redis. The event loop is never blocked, no request ever waits for the store for longer than the
time-out of one call, and nothing that comes from the URL is ever logged but the server's address.
"""

import asyncio
import hashlib
import hmac
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from extproc.domain.replicas.messages import Report, SharedStatus
from extproc.domain.replicas.replica import Replica
from extproc.runtime.pacer import Pacer
from extproc.runtime.quota_watch import QuotaWatch
from extproc.runtime.shared_wire import SCRIPT, UnreadableAnswerError, decode, encode, keys

log = structlog.get_logger("extproc.shared_limits")

# With the heartbeat of a replica, 0.4 s: a store that hangs is given up within a second.
_CALL_SECONDS: Final = 0.4
# Shorter than the time in which the script settles, so that all replicas are back before places are dealt out again.
_LONGEST_PAUSE: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_HEALTHY_AFTER: Final = 30.0
# Names the plan in the store. Half of a key is a secret of 95 bits: no dictionary leads back from here.
_NAME_KEY: Final = b"zai-proxy shared limits"
_NAME_LENGTH: Final = 32
_NOTHING: Final = "return redis.call('TIME')"


def plan_name(api_key: str) -> str:
    """What stands for the plan of a key in the store. The key can't be found from it."""
    return hmac.new(_NAME_KEY, api_key.encode(), hashlib.sha256).hexdigest()[:_NAME_LENGTH]


def address(url: str) -> str:
    """Where the store is, without a user, a password or options."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def check(url: str) -> None:
    """Raises ValueError, without the URL, if its options are none that a connection has. Connects nowhere."""
    try:
        connect(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        raise ValueError("the options of the URL can't be used") from None


def connect(url: str) -> Redis:
    """A client that tries once and gives up soon; the caller knows better when to try again."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_CALL_SECONDS,
        socket_connect_timeout=_CALL_SECONDS,
        retry=Retry(NoBackoff(), 0),
        max_connections=2,
    )


async def look(url: str) -> float:
    """Seconds that a script takes there. Raises RedisError, OSError or TimeoutError."""
    client = connect(url)
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            await client.eval(_NOTHING, 0)  # connects, which is not to be measured
        began = time.monotonic()
        async with asyncio.timeout(_CALL_SECONDS):
            await client.eval(_NOTHING, 0)
        return time.monotonic() - began
    finally:
        with suppress(RedisError, OSError, TimeoutError):
            await client.aclose()


def _heed_a_cancellation() -> None:
    """Raises CancelledError if this task was told to end. On Python 3.11 the client of the store may swallow that: it
    sends with asyncio.wait_for, which then returns as if nothing had been said."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class SharedLimits:
    """Joins this replica with the others at `url`. `plan` returns the name under which they meet."""

    def __init__(self, url: str, plan: Callable[[], str], pacer: Pacer, quota: QuotaWatch) -> None:
        self._url = url
        self._plan = plan
        self._pacer = pacer
        self._quota = quota
        self._news = asyncio.Event()
        self._id = secrets.token_hex(8)
        self._name = plan()
        self._replica = self._new_replica()
        self._client = connect(url)
        self._script = self._client.register_script(SCRIPT)
        self._said: bool | None = None
        self._up_since = 0.0
        self._pause = _FIRST_PAUSE
        self._losses = 0
        self._round_trip: float | None = None
        pacer.on_change = self._news.set
        quota.tells = lambda: not self._replica.is_up or self._replica.leads

    def status(self) -> SharedStatus:
        replica = self._replica
        return SharedStatus(replica.is_up, replica.leads, replica.replicas, self._losses, self._round_trip)

    async def run(self) -> None:
        """Shares until it is cancelled; then gives back what it holds."""
        try:
            while True:
                is_heard = await self._exchange()
                _heed_a_cancellation()
                if is_heard:
                    await self._wait()
                else:
                    await asyncio.sleep(self._next_pause())
        except Exception as error:  # nothing that a store answers; nobody is to go on with what it granted before
            await self._lose(error)
            raise
        finally:
            with suppress(RedisError, OSError, TimeoutError):
                await self._call(self._replica.leave(self._pacer.now()))
            await self._hang_up()

    async def _exchange(self) -> bool:
        """One report and its answer. False if there was none."""
        self._follow_the_key()
        self._news.clear()
        asked_at = self._pacer.now()
        report = self._replica.report(asked_at)
        began = time.monotonic()
        try:
            answer = decode(await self._call(report))
        except (RedisError, OSError, TimeoutError, ValueError, UnreadableAnswerError) as error:
            await self._lose(error)
            return False
        self._round_trip = time.monotonic() - began
        self._replica.take(answer, asked_at, self._pacer.now())
        self._pacer.go_on()
        self._say()
        return True

    async def _call(self, report: Report) -> object:
        async with asyncio.timeout(_CALL_SECONDS):
            return await self._script(keys=keys(self._name), args=encode(report))

    async def _wait(self) -> None:
        """Returns when the next report is due, or there is news."""
        pause = self._replica.pause()
        if pause > 0.0:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _lose(self, error: Exception) -> None:
        was_up = self._replica.is_up
        self._replica.lose(self._pacer.now())
        self._pacer.go_on()
        if was_up:
            self._losses += 1
        if self._said is not False:
            self._said = False
            # The type alone: the text of an error can quote what it is about.
            log.warning(
                "the limits are not shared: this replica keeps to its share",
                at=address(self._url),
                why=type(error).__name__,
            )
        await self._hang_up()
        self._client = connect(self._url)
        self._script = self._client.register_script(SCRIPT)

    def _say(self) -> None:
        if self._replica.is_up and self._said is not True:
            self._said = True
            self._up_since = time.monotonic()
            log.info("the limits are shared", at=address(self._url), replicas=self._replica.replicas)

    def _next_pause(self) -> float:
        """Longer from one failure to the next; a store that has been well for a while starts anew."""
        if self._up_since and time.monotonic() - self._up_since > _HEALTHY_AFTER:
            self._pause = _FIRST_PAUSE
        self._up_since = 0.0
        pause, self._pause = self._pause, min(_LONGEST_PAUSE, 2 * self._pause)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret

    def _follow_the_key(self) -> None:
        name = self._plan()
        if name != self._name:
            self._name = name
            self._replica.lose(self._pacer.now())
            self._replica = self._new_replica()

    def _new_replica(self) -> Replica:
        return Replica(self._id, self._pacer.pacing, self._quota.quota)

    async def _hang_up(self) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.aclose()
