"""`zai-proxy verify`: tries on the upstream what the proxy takes for true of it, with few and small requests."""

import asyncio
import secrets
import signal
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click
import httpx

from common.settings import SettingsError
from extproc.commands.verify_record import RecordDirectory
from extproc.commands.verify_report import agrees, as_json, put, spent_of, table, tell
from extproc.domain.assumptions import trials
from extproc.domain.assumptions.budget import Budget
from extproc.domain.assumptions.evidence import Evidence, Outcome, is_passing
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.judging import Verdict, verdicts, why_in_vain, why_not_of
from extproc.domain.assumptions.recording import record, without_key
from extproc.domain.assumptions.trials import Credential, Trial
from extproc.interrupts import AT_ONCE, NOT_NOW, interrupts
from extproc.launch.envoy_config import Origin
from extproc.runtime.api_key import ApiKey
from extproc.settings import Settings, ca_file, way_up

_MOST_REQUESTS: Final = 60
_MOST_AGAIN: Final = 5
_LARGEST_ANSWER: Final = 1 << 20
_SECONDS_EACH: Final = 60.0
_SECONDS_IN_ALL: Final = 300.0
_SECONDS_BETWEEN: Final = 3.0
_NOT_STARTED: Final = 2
_INTERRUPTED: Final = 130
_STOPPED: Final = "stopped"
_OWN_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_NEVER_SENT: Final = ("ConnectError", "ConnectTimeout", "ProxyError")


@dataclass(frozen=True, slots=True)
class Options:
    """`spend` is tokens, `idle` the seconds that a connection is left alone (0: that is not tried). No request takes
    longer than `seconds_each`, and all of it no longer than `seconds_in_all`; after a refused burst places have
    `seconds_between` to become free, and so has a failure to pass before a trial is sent again."""

    spend: int
    model: str
    places: bool
    yes: bool
    as_json: bool
    directory: Path | None
    idle: float
    seconds_each: float = _SECONDS_EACH
    seconds_in_all: float = _SECONDS_IN_ALL
    seconds_between: float = _SECONDS_BETWEEN


def run_verify(settings: Settings, options: Options) -> int:
    """Says what it will do, asks, tries, and prints what came out. The exit code: 0; 1 where something differs, nothing
    is answered, not all was tried in time, or what came out can't be written; 2 where nothing was sent; 130 for Ctrl-C
    and SIGTERM.

    Raises SettingsError for the key and the certificates, click.BadParameter for what may be spent and the directory.
    """
    with interrupts(AT_ONCE):
        verifier = Verifier(settings, options, tell)
        for line in verifier.intentions():
            tell(line)
    if not options.yes and not agrees():
        tell("nothing was sent")
        return _NOT_STARTED
    with interrupts(AT_ONCE):
        directory = None if options.directory is None else RecordDirectory(options.directory)
        if directory is not None:
            directory.prepare()
    try:
        asyncio.run(verifier.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        verifier.stop()
    with interrupts(NOT_NOW):
        return _finish(verifier, options, directory)


def _finish(verifier: "Verifier", options: Options, directory: RecordDirectory | None) -> int:
    """Writes and prints what came out. Returns the exit code."""
    was_written = directory is None or _write(directory, verifier)
    found = verifier.verdicts()
    if options.as_json:
        was_written &= put(as_json(found, verifier.budget, verifier.stopped, options.model))
    elif verifier.stopped != _STOPPED:
        # Where nobody like Z.AI answers the rows tell nothing that its one line has not.
        rows = [table(found)] if verifier.was_answered else []
        was_written &= put("\n".join((*rows, verifier.costs())))
    if verifier.stopped == _STOPPED:
        return _INTERRUPTED
    as_assumed = all(verdict.outcome is not Outcome.DIFFERS for verdict in found)
    return 0 if was_written and as_assumed and not verifier.stopped else 1


def _write(directory: RecordDirectory, verifier: "Verifier") -> bool:
    try:
        directory.write(verifier.records())
    except OSError as error:
        tell(f"the recording could not be written: {error.strerror or type(error).__name__}")
        return False
    return True


@dataclass(slots=True)
class _Findings:
    """What the trials have brought so far."""

    exchanges: list[Exchange] = field(default_factory=list)
    burst: list[list[Exchange]] = field(default_factory=list)
    of_two_models: list[Exchange] = field(default_factory=list)
    protocol: str | None = None
    left_alone: list[Exchange] = field(default_factory=list)
    idle: tuple[float, bool] | None = None

    @property
    def all(self) -> list[Exchange]:
        bursts = (*self.burst, self.of_two_models)
        every = [*self.exchanges, *self.left_alone, *(each for step in bursts for each in step)]
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
        self._left_out: list[str] = []
        self._again_left = _MOST_AGAIN
        least = min(most for group in self._groups if (most := trials.most_of([group])))
        if options.spend < least:
            raise click.BadParameter(
                f"nothing that costs tokens can be tried below {least}, and all of it needs {self._most():,}",
                param_hint="--spend",
            )

    def _most(self) -> int:
        """The tokens that all trials take at most, if answers are no longer than asked for."""
        return trials.most_of([*self._groups, *self._burst, *self._again()])

    def _again(self) -> list[Sequence[Trial]]:
        """What follows the largest of the bursts."""
        return [self._of_two_models(len(self._burst[-1]))] if self._burst else []

    def _of_two_models(self, size: int) -> Sequence[Trial]:
        return trials.burst_of_two_models(size, self._options.model, self._settings.zai_openai_base_path)

    def intentions(self) -> Iterator[str]:
        """What it will do, and what that may cost."""
        groups = [*self._groups, *self._burst, *self._again()]
        most = self._most()
        count = sum(len(group) for group in groups) + 1 + (2 if self._options.idle else 0)
        yield (
            f"To {self._settings.zai_target_url}, with your key: {min(count, _MOST_REQUESTS)} requests, "
            "one after the other (two at once to see whether two models run side by side), and at most "
            f"{_MOST_AGAIN} of these steps once more, where Z.AI fails for a moment."
        )
        yield (
            f"They take about {min(most, self._options.spend):,} tokens, most of them input of {self._options.model}: "
            f"prompts as their size makes likely, and up to {trials.MOST_OUTPUT} of each answer, as all are asked for "
            f"no more. What could so come to more than {self._options.spend:,} is not sent; only an answer that is "
            "longer than asked for can."
        )
        if most > self._options.spend:
            yield f"All of it may need about {most:,} tokens: what --spend does not allow is left out."
        if self._origin.host in _OWN_HOSTS:
            yield "If a simulator is there: it has a cache of prompts only with --prefix-cache 300."
        yield "Three of them have a key of zeros in place of yours, to see what a wrong key is told on each API."
        if self._options.places:
            yield (
                "Then 2, 4 and 8 requests at once, until one is refused, and as many again of two models: "
                "other work on this plan may be refused, too."
            )
        if self._options.directory is not None:
            yield (
                f"What is seen is written to {self._options.directory}, without key, ids and texts; "
                "of error messages and names of fields the common words stay: read it before you send it on."
            )

    def costs(self) -> str:
        return spent_of(self.budget)

    def stop(self) -> None:
        """Takes it for stopped by the user, and says once what was spent."""
        if self.stopped != _STOPPED:
            self.stopped = _STOPPED
            self._tell("")
            self._tell(f"{_STOPPED}: {self.costs()}")

    @property
    def was_answered(self) -> bool:
        """Whether the key is accepted, and something answers that has the model."""
        return bool(self._found.exchanges) and not self._hopeless()

    def evidence(self) -> Evidence:
        found = self._found
        by_trial = {exchange.trial: exchange for exchange in found.exchanges}
        passing = tuple(each for each in found.exchanges if by_trial[each.trial] is not each)
        return Evidence(by_trial, passing, tuple(found.burst), tuple(found.of_two_models), found.protocol, found.idle)

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
        for number in (signal.SIGINT, signal.SIGTERM):  # also where it was started with SIGINT ignored
            asyncio.get_running_loop().add_signal_handler(number, _cancel_once, task)
        try:
            async with (
                asyncio.timeout(self._options.seconds_in_all),
                self._client() as client,
                asyncio.TaskGroup() as beside,
            ):
                idle = beside.create_task(self._leave_alone()) if self._options.idle else None
                await self._try_all(client)
                if self.stopped:
                    more = "--model names another" if self._lacks_model() else "`zai-proxy doctor` says more"
                    self._tell(f"{self.stopped}: {more}")
                    if idle is not None:
                        idle.cancel()
                elif idle is not None and not idle.done():
                    self._tell(f"waiting: a connection is left alone for {self._options.idle:.0f} s")
        except TimeoutError:
            self.stopped = f"stopped after {self._options.seconds_in_all:.0f} s"
            self._tell(f"{self.stopped}: the rest was not tried")
        except asyncio.CancelledError:
            self.stop()  # before the event loop ends: a name that is being looked up can hold that up
            raise

    async def _try_all(self, client: httpx.AsyncClient) -> None:
        self._found.protocol = await self._agreed_protocol()
        for group in self._groups:
            await self._try(client, group)
            self.stopped = self._hopeless()
            if self.stopped:
                return
        await self._find_places(client)
        await self._try(client, [trials.last()])
        if self._left_out:
            self._tell(f"left out, as --spend does not allow it: {', '.join(self._left_out)}")

    async def _try(self, client: httpx.AsyncClient, group: Sequence[Trial]) -> None:
        """Sends a group, and once again a moment later if Z.AI had a failure that passes, which tells nothing."""
        seen = await self._send_together(client, group)
        self._found.exchanges += seen
        allowed = self._again_left and self.budget.allows(trials.most_of([group]), len(group))
        if allowed and any(map(is_passing, seen)):
            self._again_left -= 1
            await asyncio.sleep(self._options.seconds_between)
            self._found.exchanges += await self._send_together(client, group)

    async def _find_places(self, client: httpx.AsyncClient) -> None:
        """More and more at once, until one is refused; then as many again of two models."""
        for group in self._burst:
            step = await self._send_together(client, group)
            self._found.burst += [step] if step else []
            if not all(exchange.is_answered for exchange in step):
                await asyncio.sleep(self._options.seconds_between)
                self._found.of_two_models = await self._send_together(client, self._of_two_models(len(step)))
                return

    def _hopeless(self) -> str:
        """Why the trials that are left would tell nothing; empty while they may."""
        return why_in_vain(self._found.exchanges) or self._lacks_model()

    def _lacks_model(self) -> str:
        """Why nothing can be asked of the model; empty where that is not known."""
        return why_not_of(self._options.model, self._found.exchanges)

    async def _send_together(self, client: httpx.AsyncClient, group: Sequence[Trial]) -> list[Exchange]:
        """The exchanges of a group; none if its tokens or requests are not there any more."""
        taken = [trial for trial in group if self.budget.take(trial.most)]
        if len(taken) < len(group):
            for trial in taken:
                self.budget.give_back(trial.most)
            self._left_out += dict.fromkeys(trial.name for trial in group)
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
        key = self._key if trial.has_key else trials.NOBODYS_KEY
        credential = {
            Credential.API_KEY: {"x-api-key": key, "anthropic-version": "2023-06-01"},
            Credential.BEARER: {"authorization": f"Bearer {key}"},
            Credential.BARE: {"authorization": key},
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


def _cancel_once(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.cancelling():
        task.cancel()


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
            has_key=trial.has_key,
        )
