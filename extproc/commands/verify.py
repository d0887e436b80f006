"""`zai-proxy verify`: tries on the upstream what the proxy takes for true of it, with few and small requests."""

import asyncio
import json
import secrets
import shutil
import signal
import ssl
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click
import httpx

from common.settings import SettingsError
from extproc.commands.verify_record import RecordDirectory
from extproc.domain.assumptions import trials
from extproc.domain.assumptions.budget import Budget
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.judging import NOT_TRIED, Evidence, Outcome, Verdict, verdicts, why_in_vain
from extproc.domain.assumptions.recording import record, without_key
from extproc.domain.assumptions.trials import Credential, Trial
from extproc.launch.envoy_config import Origin
from extproc.runtime.api_key import ApiKey
from extproc.settings import Settings, ca_file, way_up

_MOST_REQUESTS: Final = 50
_LARGEST_ANSWER: Final = 1 << 20
_SECONDS_EACH: Final = 60.0
_SECONDS_IN_ALL: Final = 300.0
_NOT_STARTED: Final = 2
_INTERRUPTED: Final = 130
_STOPPED: Final = "stopped"
_SIGNS: Final = {Outcome.HOLDS: "holds  ", Outcome.DIFFERS: "DIFFERS", Outcome.UNTOLD: "untold "}
_INDENT: Final = " " * 9
_OWN_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_NEVER_SENT: Final = ("ConnectError", "ConnectTimeout", "ProxyError")


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
    """Says what it will do, asks, tries, and prints what came out. The exit code: 0; 1 where something differs,
    nothing is answered, or the recording can't be written; 2 where nothing was sent; 130 for Ctrl-C and SIGTERM.

    Raises SettingsError for the key and the certificates, click.BadParameter for the directory.
    """
    verifier = Verifier(settings, options, _tell)
    for line in verifier.intentions():
        _tell(line)
    if not options.yes and not _agrees():
        _tell("nothing was sent")
        return _NOT_STARTED
    directory = None if options.directory is None else RecordDirectory(options.directory)
    if directory is not None:
        directory.prepare()
    try:
        asyncio.run(verifier.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        verifier.stopped = _STOPPED
        _tell("")
        _tell(f"{_STOPPED}: {verifier.costs()}")
    written = directory is None or _write(directory, verifier)
    was_stopped = verifier.stopped == _STOPPED
    found = verifier.verdicts()
    if options.as_json:
        click.echo(json.dumps(_as_json(found, verifier, options.model), indent=2))
    elif not was_stopped:
        for line in lines(found, _width(sys.stdout.isatty())):
            click.echo(line)
        click.echo(verifier.costs())
    if was_stopped:
        return _INTERRUPTED
    as_assumed = all(verdict.outcome is not Outcome.DIFFERS for verdict in found)
    return 0 if written and verifier.was_answered and as_assumed else 1


def _agrees() -> bool:
    """Whether the user says so; Ctrl-C and an end of the input are no."""
    try:
        return click.confirm("Go on?", err=True)
    except click.Abort:
        _tell("")
        return False


def _write(directory: RecordDirectory, verifier: "Verifier") -> bool:
    try:
        directory.write(verifier.records())
    except OSError as error:
        _tell(f"the recording could not be written: {error.strerror or type(error).__name__}")
        return False
    return True


def _tell(line: str) -> None:
    """Says how it goes, where it is not in the way of what is printed for programs."""
    width = _width(sys.stderr.isatty())
    click.echo(line if width is None else textwrap.fill(line, width), err=True)


def _width(is_terminal: bool) -> int | None:
    """The columns that there are; None where there is no end to them."""
    return max(40, shutil.get_terminal_size().columns) if is_terminal else None


@dataclass(slots=True)
class _Findings:
    """What the trials have brought so far."""

    exchanges: list[Exchange] = field(default_factory=list)
    burst: list[list[Exchange]] = field(default_factory=list)
    protocol: str | None = None
    left_alone: list[Exchange] = field(default_factory=list)
    idle: tuple[float, bool] | None = None

    @property
    def all(self) -> list[Exchange]:
        every = [*self.exchanges, *self.left_alone, *(each for step in self.burst for each in step)]
        return sorted(every, key=lambda each: each.began)


class Verifier:
    """One run of all trials, bounded in requests, tokens and time. `stopped` is why it ended before its end, or empty.

    Raises SettingsError for the key and the certificates.
    """

    def __init__(self, settings: Settings, options: Options, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._options = options
        self._tell = tell
        self._key = ApiKey.from_settings(settings).current
        self._origin = Origin.parse(settings.zai_target_url)
        self._tls = _trust(settings)
        self._proxy = way_up(settings)
        self._found = _Findings()
        self.budget = Budget(tokens=options.spend, requests=_MOST_REQUESTS)
        self.stopped = ""
        chat = settings.zai_openai_base_path
        self._groups = trials.plan(options.model, chat, secrets.token_hex(8))
        self._burst = trials.burst(options.model, chat) if options.places else []

    def intentions(self) -> Iterator[str]:
        """What it will do, and what that may cost."""
        groups = [*self._groups, *self._burst]
        most = min(trials.most_of(groups), self._options.spend)
        count = sum(len(group) for group in groups) + 1 + (2 if self._options.idle else 0)
        yield (
            f"To {self._settings.zai_target_url}, with your key: {min(count, _MOST_REQUESTS)} requests at most, "
            "one after the other (two at once to see whether two models run side by side); "
            f"{most:,} tokens at most, most of them input of {self._options.model}."
        )
        if self._origin.host in _OWN_HOSTS:
            yield "If a simulator is there: it has a cache of prompts only with --prefix-cache 300."
        yield "One of them has a key of zeros in place of yours, to see what a wrong key is told."
        if self._options.places:
            yield "Then 2, 4 and 8 requests at once, until one is refused: other work on this plan may be, too."
        if self._options.directory is not None:
            yield (
                f"What is seen is written to {self._options.directory}, without key, ids and texts; "
                "names of fields and the words of error messages stay: read it before you send it on."
            )

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

    def verdicts(self) -> list[Verdict]:
        """What came out, without the key if an answer has it."""
        return [replace(each, seen=without_key(each.seen, self._key)) for each in verdicts(self.evidence())]

    def records(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Each exchange by the name of its trial, in their order, without what is somebody's."""
        was_closed = self._found.idle is not None and not self._found.idle[1]
        for exchange in self._found.all:
            closes = was_closed and exchange.trial == trials.MODELS
            yield exchange.trial, record(exchange, self._key, closes=closes)

    async def run(self) -> None:
        """All trials. What has not been tried when the time is over is missing in the evidence."""
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGINT, signal.SIGTERM):  # also where it was started with SIGINT ignored
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            async with (
                asyncio.timeout(self._options.seconds_in_all),
                self._client() as client,
                asyncio.TaskGroup() as beside,
            ):
                idle = beside.create_task(self._leave_alone()) if self._options.idle else None
                await self._try_all(client)
                if self.stopped:
                    self._tell(f"{self.stopped}: `zai-proxy doctor` says more")
                    if idle is not None:
                        idle.cancel()
                elif idle is not None and not idle.done():
                    self._tell(f"waiting: a connection is left alone for {self._options.idle:.0f} s")
        except TimeoutError:
            self.stopped = f"stopped after {self._options.seconds_in_all:.0f} s"
            self._tell(f"{self.stopped}: the rest was not tried")

    async def _try_all(self, client: httpx.AsyncClient) -> None:
        self._found.protocol = await self._agreed_protocol()
        for group in self._groups:
            self._found.exchanges += await self._send_together(client, group)
            self.stopped = self._hopeless()
            if self.stopped:
                return
        for group in self._burst:
            step = await self._send_together(client, group)
            self._found.burst += [step] if step else []
            if any(exchange.status != 200 for exchange in step):
                break
        self._found.exchanges += await self._send_together(client, [trials.last()])

    def _hopeless(self) -> str:
        """Why the trials that are left would tell nothing; empty while they may."""
        return why_in_vain(self._found.exchanges)

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

    async def _send(self, client: httpx.AsyncClient, trial: Trial, addresses: list[object] | None = None) -> Exchange:
        """What came of a trial. To `addresses` the connection's own is added, if one answers."""
        began, since = time.time(), time.monotonic()
        seen = _Seen(trial, began)
        try:
            async with asyncio.timeout(self._options.seconds_each), client.stream(**self._request(trial)) as answer:
                if addresses is not None:
                    # While it is open: afterwards a connection that was closed has no address any more.
                    addresses.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
                seen.status = answer.status_code
                seen.headers = {name.lower(): value for name, value in answer.headers.items()}
                async for data in answer.aiter_raw():
                    seen.pieces.append((time.monotonic() - since, data))
                    seen.size += len(data)
                    if seen.size > _LARGEST_ANSWER:
                        seen.failure = "too large"
                        break
        except (httpx.HTTPError, TimeoutError) as error:
            seen.failure = type(error).__name__
        exchange = seen.exchange(time.monotonic() - since)
        refused = exchange.status >= 400 and not exchange.failure
        free = refused or exchange.failure in _NEVER_SENT
        self.budget.settle(trial.most, 0 if free else exchange.tokens())
        return exchange

    def _request(self, trial: Trial) -> dict[str, Any]:
        credential = {
            Credential.API_KEY: {"x-api-key": self._key, "anthropic-version": "2023-06-01"},
            Credential.BEARER: {"authorization": f"Bearer {self._key}"},
            Credential.BARE: {"authorization": self._key},
            Credential.NOBODYS: {"x-api-key": trials.NOBODYS_KEY, "anthropic-version": "2023-06-01"},
        }[trial.credential]
        headers = {**credential, "content-type": "application/json", **trial.headers}
        url = f"{self._settings.zai_target_url}{trial.path}"
        return {"method": trial.method, "url": url, "content": trial.content, "headers": headers}

    async def _leave_alone(self) -> None:
        """Whether a connection that nothing is asked on stays open, told by which one the next request takes."""
        addresses: list[object] = []
        async with self._client() as client:
            for pause in (0.0, self._options.idle):
                await asyncio.sleep(pause)
                if not self.budget.take(0):
                    return
                self._found.left_alone.append(await self._send(client, trials.models(), addresses))
        first, second = self._found.left_alone
        if first.failure or second.failure in ("too large", "TimeoutError", "ReadTimeout"):
            return
        if second.failure:
            self._found.idle = (self._options.idle, False)
        elif addresses[0] is not None:
            self._found.idle = (self._options.idle, addresses[0] == addresses[1])

    async def _agreed_protocol(self) -> str | None:
        """What TLS agrees on where HTTP/2 is offered; None where there is no TLS of our own."""
        if self._origin.scheme != "https" or self._proxy is not None:
            return None
        context = _trust(self._settings)
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            async with asyncio.timeout(self._options.seconds_each / 4):
                _, writer = await asyncio.open_connection(self._origin.host, self._origin.port, ssl=context)
        except OSError:
            return None
        secured = writer.get_extra_info("ssl_object")
        writer.transport.abort()
        return secured.selected_alpn_protocol() or ""

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"accept": "*/*", "accept-encoding": "identity", "user-agent": "zai-proxy"},
            timeout=self._options.seconds_each,
            limits=httpx.Limits(keepalive_expiry=10 * _SECONDS_EACH),
            verify=self._tls,
            proxy=None if self._proxy is None else self._proxy.url,
            trust_env=False,
        )


def _trust(settings: Settings) -> ssl.SSLContext:
    """Raises SettingsError."""
    file = ca_file(settings)
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise SettingsError([f"ZAI_CA_FILE={file}: need certificates in PEM ({why})"]) from None


@dataclass(slots=True)
class _Seen:
    """An exchange while it goes on."""

    trial: Trial
    began: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    size: int = 0
    failure: str = ""

    def exchange(self, ended: float) -> Exchange:
        trial = self.trial
        return Exchange(
            trial=trial.name,
            method=trial.method,
            path=trial.path,
            model=trial.model,
            status=self.status,
            headers=self.headers,
            pieces=tuple(self.pieces),
            ended=ended,
            began=self.began,
            failure=self.failure,
            has_key=trial.credential is not Credential.NOBODYS,
        )


def lines(found: Sequence[Verdict], width: int | None = None) -> Iterator[str]:
    """What is printed, in lines of at most `width` columns: what differs comes last, where it is seen."""
    left_out = [verdict for verdict in found if verdict.seen == NOT_TRIED]
    if left_out:
        yield from _wrapped(f"{_SIGNS[Outcome.UNTOLD]}  not tried: {'; '.join(each.name for each in left_out)}", width)
    order = (Outcome.UNTOLD, Outcome.HOLDS, Outcome.DIFFERS)
    tried = (verdict for verdict in found if verdict.seen != NOT_TRIED)
    for verdict in sorted(tried, key=lambda each: order.index(each.outcome)):
        yield from _wrapped(f"{_SIGNS[verdict.outcome]}  {verdict.name}: {verdict.assumed}", width)
        yield from _wrapped(f"{_INDENT}seen: {verdict.seen}", width)
        if verdict.meaning:
            yield from _wrapped(f"{_INDENT}-> {verdict.meaning}", width)
    counts = {outcome: sum(verdict.outcome is outcome for verdict in found) for outcome in Outcome}
    yield f"{counts[Outcome.HOLDS]} hold, {counts[Outcome.DIFFERS]} differ, {counts[Outcome.UNTOLD]} could not be told"


def _wrapped(line: str, width: int | None) -> list[str]:
    return [line] if width is None else textwrap.wrap(line, width, subsequent_indent=_INDENT)


def _as_json(found: Sequence[Verdict], verifier: Verifier, model: str) -> dict[str, object]:
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
    budget = verifier.budget
    spent = {"requests": budget.sent, "tokens": budget.spent}
    return {"model": model, **spent, "stopped": verifier.stopped, "assumptions": rows}
