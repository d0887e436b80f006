"""`zai-proxy verify`: tries on the upstream what the proxy takes for true of it, with few and small requests."""

import asyncio
import json
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import httpx

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.budget import Budget
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.judging import Evidence, Outcome, Verdict, verdicts
from extproc.domain.assumptions.recording import record
from extproc.domain.assumptions.trials import Credential, Trial
from extproc.launch.envoy_config import Origin
from extproc.runtime.api_key import ApiKey
from extproc.settings import Settings, ca_file, way_up

_MOST_REQUESTS: Final = 40
_LARGEST_ANSWER: Final = 1 << 20
_SECONDS_EACH: Final = 60.0
_SECONDS_IN_ALL: Final = 300.0
_INTERRUPTED: Final = 130
_KEY_REFUSED: Final = 401
_IN_VAIN: Final = 2
_SIGNS: Final = {Outcome.HOLDS: "holds  ", Outcome.DIFFERS: "DIFFERS", Outcome.UNTOLD: "untold "}


@dataclass(frozen=True, slots=True)
class Options:
    """`spend` is tokens, `idle` the seconds that a connection is left alone (0: that is not tried). No request takes
    longer than `seconds_each`, and all of it no longer than `seconds_in_all`."""

    spend: int
    model: str
    places: bool
    yes: bool
    as_json: bool
    directory: Path | None
    idle: float
    seconds_each: float = _SECONDS_EACH
    seconds_in_all: float = _SECONDS_IN_ALL


def run_verify(settings: Settings, options: Options) -> int:
    """Says what it will do, asks, tries, and prints what came out. The exit code: 0, 1 where something differs or
    nothing is answered, 130 for Ctrl-C. Raises SettingsError for the key."""
    verifier = Verifier(settings, options, lambda line: click.echo(line, err=True))
    for line in verifier.announcement():
        click.echo(line, err=True)
    if not options.yes:
        click.confirm("Go on?", abort=True, err=True)
    if options.directory is not None:
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        asyncio.run(verifier.run())
    except KeyboardInterrupt:
        click.echo(f"\nstopped: {verifier.costs()}", err=True)
        return _INTERRUPTED
    finally:
        if options.directory is not None:
            verifier.write(options.directory)
    found = verdicts(verifier.evidence())
    if options.as_json:
        click.echo(json.dumps(_as_json(found, verifier.budget, options.model), indent=2))
    else:
        for line in lines(found):
            click.echo(line)
        click.echo(verifier.costs())
    return 0 if verifier.was_answered and all(verdict.outcome is not Outcome.DIFFERS for verdict in found) else 1


@dataclass(slots=True)
class _Findings:
    """What the trials have brought so far."""

    exchanges: list[Exchange] = field(default_factory=list)
    burst: list[list[Exchange]] = field(default_factory=list)
    protocol: str | None = None
    idle: tuple[float, bool] | None = None


class Verifier:
    """One run of all trials, bounded in requests, tokens and time.

    Raises SettingsError for the key.
    """

    def __init__(self, settings: Settings, options: Options, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._options = options
        self._tell = tell
        self._key = ApiKey.from_settings(settings).current
        self._origin = Origin.parse(settings.zai_target_url)
        self._tls = ssl.create_default_context(cafile=ca_file(settings))
        self._proxy = way_up(settings)
        self._found = _Findings()
        self.budget = Budget(tokens=options.spend, requests=_MOST_REQUESTS)
        chat = settings.zai_openai_base_path
        self._groups = trials.plan(options.model, chat, secrets.token_hex(8))
        self._burst = trials.burst(options.model, chat) if options.places else []

    def announcement(self) -> Iterator[str]:
        """What it will do, and what that may cost."""
        groups = [*self._groups, *self._burst]
        most = min(trials.most_of(groups), self._options.spend)
        count = sum(len(group) for group in groups) + 1 + (2 if self._options.idle else 0)
        yield f"To {self._settings.zai_target_url}, with your key: {min(count, _MOST_REQUESTS)} requests at most,"
        yield "one after the other (two at once to see whether two models run side by side);"
        yield f"{most:,} tokens at most, most of them input of {self._options.model}."
        if self._options.places:
            yield "Then 2, 4 and 8 requests at once, until one is refused: other work on this plan may be, too."
        if self._options.directory is not None:
            yield f"What is seen is written to {self._options.directory}, without key, ids and texts;"
            yield "names of fields and the words of error messages stay: read it before you send it on."

    def costs(self) -> str:
        return f"{self.budget.sent} requests, {self.budget.spent:,} tokens of {self.budget.tokens:,} at most were spent"

    @property
    def was_answered(self) -> bool:
        """Whether the key is accepted and something answers."""
        return bool(self._found.exchanges) and not self._hopeless()

    def evidence(self) -> Evidence:
        found = self._found
        by_trial = {exchange.trial: exchange for exchange in found.exchanges}
        return Evidence(by_trial, tuple(found.burst), found.protocol, found.idle)

    def write(self, directory: Path) -> None:
        """Writes each exchange, in its order, without what is somebody's."""
        for old in directory.glob("[0-9][0-9][0-9]-*.json"):
            old.unlink()
        every = [*self._found.exchanges, *(each for step in self._found.burst for each in step)]
        for number, exchange in enumerate(sorted(every, key=lambda each: each.began), start=1):
            path = directory / f"{number:03}-{exchange.trial.replace(' ', '-')}.json"
            path.write_text(json.dumps(record(exchange, self._key), indent=1, ensure_ascii=False) + "\n", "utf-8")

    async def run(self) -> None:
        """All trials. What has not been tried when the time is over is missing in the evidence."""
        try:
            async with (
                asyncio.timeout(self._options.seconds_in_all),
                self._client() as client,
                asyncio.TaskGroup() as beside,
            ):
                idle = beside.create_task(self._leave_alone()) if self._options.idle else None
                self._found.protocol = await asyncio.to_thread(self._agreed_protocol)
                for group in self._groups:
                    self._found.exchanges += await self._send_together(client, group)
                    if why := self._hopeless():
                        self._tell(f"{why}: `zai-proxy doctor` says more")
                        if idle is not None:
                            idle.cancel()
                        return
                for group in self._burst:
                    step = await self._send_together(client, group)
                    self._found.burst += [step] if step else []
                    if any(exchange.status != 200 for exchange in step):
                        break
                self._found.exchanges += await self._send_together(client, [trials.last()])
                if idle is not None and not idle.done():
                    self._tell(f"waiting: a connection is left alone for {self._options.idle:.0f} s")
        except TimeoutError:
            self._tell(f"stopped after {self._options.seconds_in_all:.0f} s: the rest was not tried")

    def _hopeless(self) -> str:
        """Why the trials that are left would tell nothing; empty while they may."""
        found = self._found.exchanges
        if any(exchange.status == _KEY_REFUSED for exchange in found):
            return "the key is not accepted"
        return "nothing answers" if len(found) >= _IN_VAIN and not any(each.status for each in found) else ""

    async def _send_together(self, client: httpx.AsyncClient, group: Sequence[Trial]) -> list[Exchange]:
        """The exchanges of a group; none if its tokens or requests are not there any more."""
        taken = [trial for trial in group if self.budget.take(trial.most)]
        if len(taken) < len(group):
            for trial in taken:
                self.budget.give_back(trial.most)
            self._tell(f"left out: {group[0].name} ({self.costs()})")
            return []
        self._tell(f"trying: {', '.join(dict.fromkeys(trial.name for trial in group))}")
        return list(await asyncio.gather(*(self._send(client, trial) for trial in group)))

    async def _send(self, client: httpx.AsyncClient, trial: Trial) -> Exchange:
        began, since = time.time(), time.monotonic()
        seen = _Seen(trial, began)
        try:
            async with asyncio.timeout(self._options.seconds_each), client.stream(**self._request(trial)) as answer:
                seen.status = answer.status_code
                seen.headers = {name.lower(): value for name, value in answer.headers.items()}
                async for data in answer.aiter_raw():
                    seen.pieces.append((time.monotonic() - since, data))
                    if seen.size > _LARGEST_ANSWER:
                        seen.failure = "too large"
                        break
        except (httpx.HTTPError, TimeoutError) as error:
            seen.failure = type(error).__name__
        exchange = seen.exchange(time.monotonic() - since)
        refused = exchange.status >= 400 and not exchange.failure
        self.budget.settle(trial.most, 0 if refused else exchange.tokens())
        return exchange

    def _request(self, trial: Trial) -> dict[str, Any]:
        credential = {
            Credential.API_KEY: {"x-api-key": self._key, "anthropic-version": "2023-06-01"},
            Credential.BEARER: {"authorization": f"Bearer {self._key}"},
            Credential.BARE: {"authorization": self._key},
        }[trial.credential]
        headers = {**credential, "content-type": "application/json", **trial.headers}
        url = f"{self._settings.zai_target_url}{trial.path}"
        return {"method": trial.method, "url": url, "content": trial.content, "headers": headers}

    async def _leave_alone(self) -> None:
        """Whether a connection that nothing is asked on stays open, told by which one the next request takes."""
        async with self._client() as client:
            used = []
            for pause in (0.0, self._options.idle):
                await asyncio.sleep(pause)
                if not self.budget.take(0):
                    return
                try:
                    async with client.stream(**self._request(trials.models())) as answer:
                        # While it is open: afterwards a connection that was closed has no address any more.
                        used.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
                        await answer.aread()
                except httpx.HTTPError:
                    if used:
                        self._found.idle = (self._options.idle, False)
                    return
        if used[0] is not None:
            self._found.idle = (self._options.idle, used[0] == used[1])

    def _agreed_protocol(self) -> str | None:
        """What TLS agrees on where HTTP/2 is offered; None where there is no TLS of our own."""
        if self._origin.scheme != "https" or self._proxy is not None:
            return None
        context = ssl.create_default_context(cafile=ca_file(self._settings))
        context.set_alpn_protocols(["h2", "http/1.1"])
        host, port = self._origin.host, self._origin.port
        try:
            with (
                socket.create_connection((host, port), timeout=self._options.seconds_each / 4) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                return secured.selected_alpn_protocol() or ""
        except OSError:
            return None

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"accept": "*/*", "accept-encoding": "identity", "user-agent": "zai-proxy"},
            timeout=self._options.seconds_each,
            limits=httpx.Limits(keepalive_expiry=10 * _SECONDS_EACH),
            verify=self._tls,
            proxy=None if self._proxy is None else self._proxy.url,
            trust_env=False,
        )


class _Seen:
    """An exchange while it goes on."""

    def __init__(self, trial: Trial, began: float) -> None:
        self._trial = trial
        self._began = began
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[float, bytes]] = []
        self.failure = ""

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.pieces)

    def exchange(self, ended: float) -> Exchange:
        trial = self._trial
        return Exchange(
            trial=trial.name,
            method=trial.method,
            path=trial.path,
            model=trial.model,
            status=self.status,
            headers=self.headers,
            pieces=tuple(self.pieces),
            ended=ended,
            began=self._began,
            failure=self.failure,
        )


def lines(found: Sequence[Verdict]) -> Iterator[str]:
    """What is printed: what differs comes last, where it is seen."""
    order = (Outcome.UNTOLD, Outcome.HOLDS, Outcome.DIFFERS)
    for verdict in sorted(found, key=lambda each: order.index(each.outcome)):
        yield f"{_SIGNS[verdict.outcome]}  {verdict.name}: {verdict.assumed}"
        yield f"         seen: {verdict.seen}"
        if verdict.meaning:
            yield f"         -> {verdict.meaning}"
    counts = {outcome: sum(verdict.outcome is outcome for verdict in found) for outcome in Outcome}
    yield f"{counts[Outcome.HOLDS]} hold, {counts[Outcome.DIFFERS]} differ, {counts[Outcome.UNTOLD]} could not be told"


def _as_json(found: Sequence[Verdict], budget: Budget, model: str) -> dict[str, object]:
    rows = [
        {
            "name": verdict.name,
            "assumed": verdict.assumed,
            "outcome": verdict.outcome.value,
            "seen": verdict.seen,
            "meaning": verdict.meaning,
        }
        for verdict in found
    ]
    return {"model": model, "requests": budget.sent, "tokens": budget.spent, "assumptions": rows}
