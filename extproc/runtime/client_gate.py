"""Who may use the proxy, and how much: tokens, limits of each client, and the ledger of what was used."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

from common.wrong_tokens import WrongTokens
from extproc.domain.clients.clients import Client
from extproc.domain.clients.usage_ledger import MOST_BYTES, UsageLedger, Used, seconds_to_midnight
from extproc.domain.request import refusals
from extproc.domain.request.head import RequestHead
from extproc.domain.request.labels import UNKNOWN
from extproc.domain.request.programs import program_of
from extproc.domain.request.refusals import Refusal
from extproc.domain.usage.outcome import Outcome
from extproc.runtime.client_file import ClientFile
from extproc.runtime.state_file import SavedState, StateFile
from extproc.settings import Settings

_MOST_WAITING: Final = 200
_MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
# What Envoy holds of a body that is too long to be read before admission, or does not say its length.
_HELD_UNREAD_BYTES: Final = 1024 * 1024
_SAVE_SECONDS: Final = 5.0
# A large ledger takes long to write: then it is written less often, so that at most a twentieth of the time goes there.
_PAUSE_PER_SECOND: Final = 20.0
_LONGEST_SAVE_SECONDS: Final = 60.0
# Or a month of them would be more than the dashboard takes, and the loop that admits would be busy writing it.
_MOST_SHOWN_OF_A_DAY: Final = 250
_STATE_NAME: Final = "usage.json"


def _nothing() -> None:
    """Where nobody has to be told of a pause."""


def _pause_after(seconds: float) -> float:
    """Seconds until the ledger is saved again, if writing it took so many."""
    return min(max(_SAVE_SECONDS, _PAUSE_PER_SECOND * seconds), _LONGEST_SAVE_SECONDS)


class ClientGate:
    """Knows the clients. Without CLIENT_TOKENS_FILE everybody may come, and usage is counted by what they are known by.

    Raises SettingsError for a file of tokens that can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = None if settings.client_tokens_file is None else ClientFile(settings.client_tokens_file)
        self.names_are_labels = settings.client_labels
        file = None if settings.state_dir is None else StateFile(settings.state_dir / _STATE_NAME, MOST_BYTES)
        self._state = SavedState(file, "the usage ledger")
        self._in_flight: Counter[str] = Counter()
        self._wrong = WrongTokens(_MOST_WAITING, _MOST_WAITING_BYTES)
        self._most_read_bytes = settings.retry_buffer_bytes
        self._has_news = False
        self.usage = UsageLedger()
        self._state.restore(self.usage.restore)

    async def identify(self, head: RequestHead, before_pause: Callable[[], None]) -> Client | Refusal | None:
        """Who is asking: a client, somebody who must not, or None where nobody has to say who they are.

        Whoever tries tokens may have to wait for the answer; `before_pause` is called first. A right token never waits:
        it is looked at whoever else tries some, for nobody guesses one that `zai-proxy token` has made.
        """
        if self._file is None:
            return None
        client = self._file.registry.find(head.token) if head.token else None
        if client is None:
            return await self._refuse(head.peer, self._held_bytes(head), before_pause)
        return client

    async def refuse_look(self, token: str, peer: str) -> Refusal | None:
        """Why somebody at an address may not see what clients may see: whoever has a token may, or anybody if none has.

        Whoever tries tokens may have to wait for the answer.
        """
        if self._file is None or (token and self._file.registry.find(token) is not None):
            return None
        return await self._refuse(peer, 0, _nothing)

    @contextmanager
    def enter(self, client: Client) -> Iterator[Refusal | None]:
        """Counts a request of a client while the context is open, or yields which of its limits is reached."""
        refusal = self._refusal(client)
        if refusal is not None:
            yield refusal
            return
        self._in_flight[client.name] += 1
        try:
            yield None
        finally:
            self._in_flight[client.name] -= 1
            if not self._in_flight[client.name]:
                del self._in_flight[client.name]

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended: adds what it used to the ledger."""
        entry, usage = outcome.entry, outcome.usage
        if not entry.exchange_id or entry.refused:
            return
        used = Used(requests=1)
        if usage is not None:
            used.input_tokens, used.output_tokens = usage.tokens.input_total, usage.tokens.output
            used.cost_usd = usage.cost.total if usage.cost is not None else 0.0
            used.credits = usage.credits or 0.0
        model = usage.model if usage is not None and usage.model else UNKNOWN
        client, program = entry.client or entry.source or UNKNOWN, program_of(entry.user_agent)
        self.usage.add(client, model[:64], program, used, time.time())
        self._has_news = True

    def describe(self, days: int) -> list[dict[str, object]]:
        """What was used in the last so many days, as rows; of a day those that used most, and the others as one."""
        return list(self.usage.rows(days, time.time(), _MOST_SHOWN_OF_A_DAY))

    def background_tasks(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        """What has to go on beside the requests, by name."""
        yield "clients", self.run
        if self._file is not None:
            yield "client_tokens", self._file.watch

    async def run(self) -> None:
        """Saves the ledger soon after it has changed, until it is cancelled; then saves for the last time."""
        pause = _SAVE_SECONDS
        try:
            while True:
                await asyncio.sleep(pause)
                if self._has_news or self._state.is_swept_away:
                    self._has_news = False
                    began = time.monotonic()
                    await asyncio.to_thread(self._state.save, self.usage.snapshot())
                    pause = _pause_after(time.monotonic() - began)
        finally:
            self._state.save(self.usage.snapshot())

    def _refusal(self, client: Client) -> Refusal | None:
        if client.max_in_flight is not None and self._in_flight[client.name] >= client.max_in_flight:
            return refusals.client_at_capacity(client.name, client.max_in_flight)
        now = time.time()
        if client.daily_tokens is not None and self.usage.tokens_today(client.name, now) >= client.daily_tokens:
            return refusals.client_used_up(client.name, client.daily_tokens, seconds_to_midnight(now))
        return None

    async def _refuse(self, peer: str, held_bytes: int, before_pause: Callable[[], None]) -> Refusal:
        """The answer to a wrong token, once it is due. Only so many wait at a time, for Envoy holds their bodies
        meanwhile: waiting without a bound would be a way to harm us."""
        with self._wrong.wrong(peer, time.monotonic(), held_bytes) as pause:
            if pause is None:
                return refusals.too_many_wrong_tokens()
            if pause:
                before_pause()
                await asyncio.sleep(pause)
        return refusals.unauthorized()

    def _held_bytes(self, head: RequestHead) -> int:
        """What Envoy may hold of a request while it waits here."""
        if head.body_bytes is None or head.body_bytes > self._most_read_bytes:
            return _HELD_UNREAD_BYTES
        return head.body_bytes
