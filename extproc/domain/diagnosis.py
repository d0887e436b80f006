"""What `zai-proxy doctor` makes of what it sees. Pure: no network, no clock, and never a secret in a finding."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.key_form import is_usual
from extproc.domain.request.key_in_text import holds_key
from extproc.domain.request.routes import PaidBy
from extproc.domain.request.routes import classify as classify_path

RECENT_MINUTES: Final = 10
"""How far back requests are looked at."""

_HOST: Final = "api.z.ai"
_MAINLAND_HOST: Final = "open.bigmodel.cn"
_CLOCK_TOLERANCE: Final = 60.0
_SLOW_STORE: Final = 0.02
_SOON: Final = 14 * 86400.0
_BASE_PATHS: Final = {"ANTHROPIC_BASE_URL": "", "OPENAI_BASE_URL": "/v1", "ZAI_BASE_URL": "/api/coding/paas/v4"}
_ADDED: Final = {
    "ANTHROPIC_BASE_URL": ("/v1/messages",),
    "OPENAI_BASE_URL": ("/chat/completions", "/responses"),
    "ZAI_BASE_URL": ("/chat/completions",),
}
"""What a client that has its base URL from such a variable adds to it, this or that."""
_CLIENT_KEYS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")
_ATTRIBUTION: Final = "CLAUDE_CODE_ATTRIBUTION_HEADER"
_OFF: Final = ("0", "false", "no", "off")
_FAR_BELOW: Final = 3
_LONGEST_PATH: Final = 100
_FEWEST_REQUESTS: Final = 5
_MANY_FAILED: Final = 0.5
_SOME_FAILED: Final = 0.1
_MOST_CAUSES: Final = 3
_NO_WAY_UP: Final = ("request_creation", "upstream_connection")
_CLIENTS_OWN: Final = ("write_error", "400", "404", "405", "413", "422")
"""Errors of requests that are no fault of the proxy's or of what is above it."""
_NAMES: Final = {"mcp": "calls of MCP tools", "unknown": "requests for an unknown model"}
_PROXIES: Final = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_THIS_MACHINE: Final = frozenset({"*", "127.0.0.1", "localhost"})


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    """It works, but costs more than it should."""
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it where something is to be done."""

    level: Level
    what: str
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class SharedPlaces:
    """How many a model may have in flight together with other `models`, and how many they have. Whether it shares
    these places with the `maybe` ones too is being tried."""

    models: Sequence[str]
    maybe: Sequence[str]
    limit: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class LearnedPlaces:
    """What a proxy says of a model: how many may be in flight, the number that was refused last (None: none was),
    what runs and waits, and the places that it shares with others (None: it shares none)."""

    model: str
    limit: int
    refused: int | None
    in_flight: int
    waiting: int
    shared: SharedPlaces | None = None

    @property
    def most(self) -> int:
        """How many may surely be in flight, if no other model is."""
        return min(self.limit, self.shared.limit) if self.shared is not None and self.shared.models else self.limit

    @property
    def has_room(self) -> bool:
        """Whether one more could run at once: a place is free, also of those that it shares, and nothing waits."""
        is_shared_full = self.shared is not None and self.shared.in_flight >= self.shared.limit
        return not self.waiting and self.in_flight < self.limit and not is_shared_full


@dataclass(frozen=True, slots=True)
class CachedProgram:
    """What a proxy says of a program and the cache: in words, and how many of its conversations are cold now."""

    text: str
    cold: int


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What a proxy says of the cache. `cold` has a line for each conversation that finds little now, or for the worst
    of them. `causes` are programs and what keeps their prompts out of it; there is none without CACHE_DOCTOR
    (`has_doctor`)."""

    programs: Sequence[CachedProgram] = ()
    cold: Sequence[str] = ()
    causes: Sequence[tuple[str, str]] = ()
    has_doctor: bool = False


@dataclass(frozen=True, slots=True)
class RecentRequest:
    """How a request ended: `error` and `refused` are words of the log line, empty where there is none."""

    status: int
    error: str = ""
    refused: str = ""

    @property
    def has_failed(self) -> bool:
        return self.status >= 500 or (self.error != "" and self.error not in _CLIENTS_OWN)

    @property
    def cause(self) -> str:
        """In a word or two; the status is left out where the client got a good one."""
        word = self.refused or self.error
        return word if word and (self.status < 400 or word == str(self.status)) else f"{self.status} {word}".strip()


def judge_key(key: str) -> Finding:
    """Whether it looks like a Z.AI key."""
    if is_usual(key):
        return Finding(Level.OK, "key", "has the form of a Z.AI key")
    return Finding(
        Level.NOTE,
        "key",
        f"{len(key)} characters, not the usual form (32 hexadecimal digits, a dot, 16 letters and digits)",
        "If Z.AI refuses it, copy it again, whole, from the page of API keys.",
    )


def judge_target(url: str, openai_base_path: str) -> Iterator[Finding]:
    """Whether the requests go where a Coding Plan is served."""
    host = urlsplit(url).hostname or ""
    if host == _HOST:
        yield Finding(Level.OK, "upstream", url)
    elif host == _MAINLAND_HOST:
        yield Finding(
            Level.NOTE,
            "upstream",
            f"{url}, the host for mainland China",
            f"Keys of {_HOST} are not valid there: if yours is one, set ZAI_TARGET_URL=https://{_HOST}.",
        )
    else:
        yield Finding(Level.NOTE, "upstream", f"{url}, none of Z.AI's own hosts", "Right for a simulator or a relay.")
    if classify_path(openai_base_path, speaks_anthropic=False).paid_by is PaidBy.BALANCE:
        yield Finding(
            Level.NOTE,
            "OpenAI path",
            f"{openai_base_path} is paid from the account's balance, not from a Coding Plan",
            "If your key is a plan's, unset ZAI_OPENAI_BASE_PATH: there such requests get 1113 (no balance).",
        )


def note_other_target(here: str, proxys: str) -> Finding:
    """The running proxy has another upstream than this shell."""
    return Finding(
        Level.NOTE,
        "ZAI_TARGET_URL",
        f"{here} in this shell, {proxys} in the running proxy: the proxy's was looked at, without this shell's key",
        f"To have the key and the plan tried there too: export ZAI_TARGET_URL={proxys}",
    )


def judge_clock(skew: float) -> Finding:
    """`skew` is how many seconds this machine is ahead of the upstream's clock."""
    if abs(skew) <= _CLOCK_TOLERANCE:
        return Finding(Level.OK, "clock", f"differs from the upstream's by {abs(skew):.0f} s")
    ahead = "ahead of" if skew > 0 else "behind"
    return Finding(
        Level.PROBLEM,
        "clock",
        f"{abs(skew):.0f} s {ahead} the upstream's",
        "Let this machine set its clock by NTP: when the quota resets and when peak hours begin is told by it.",
    )


def judge_certificate(seconds_left: float) -> Finding:
    """`seconds_left` is how long the upstream's certificate is still good."""
    days = seconds_left / 86400
    if seconds_left < _SOON:
        return Finding(Level.NOTE, "TLS", f"the upstream's certificate is good for {days:.0f} more days only")
    return Finding(Level.OK, "TLS", f"the upstream's certificate is good for {days:.0f} more days")


def judge_store(address: str, seconds: float) -> Finding:
    """`seconds` is how long the store of the shared limits takes for a script."""
    found = f"{address} answers within {max(1.0, seconds * 1000):.0f} ms"
    if seconds <= _SLOW_STORE:
        return Finding(Level.OK, "shared limits", found)
    return Finding(
        Level.NOTE, "shared limits", found, "Every request waits that long: a store that is nearer makes them faster."
    )


def judge_lost_store(address: str, error: str) -> Finding:
    """The store of the shared limits could not be used; `error` is the kind of the error alone."""
    advice = {
        "AuthenticationError": "Look at the user and the password in LIMITS_URL.",
        "NoPermissionError": "Allow its user the commands and keys that docs/pacing.md names.",
    }
    return Finding(
        Level.PROBLEM,
        "shared limits",
        f"{address} can't be used ({error})",
        advice.get(error, "Look at LIMITS_URL and at the server. Until it is there each replica keeps to its share."),
    )


def judge_places(models: Sequence[LearnedPlaces]) -> Iterator[Finding]:
    """What was learned of each model, what waits for it, and which has far fewer places than another."""
    known = [each for each in models if each.model not in _NAMES]
    largest = max(known, key=lambda each: each.limit, default=None)
    roomy = max((each for each in known if each.has_room), key=lambda each: each.limit, default=None)
    for each in models:
        at_most = f"{each.limit} may run at once" + ("" if each.refused is None else f" ({each.refused} were refused)")
        found = f"{at_most}; {each.in_flight} running, {each.waiting or 'nothing'} waiting"
        if each.shared is not None:
            found += f"; {_sharing(each.shared)}"
        level, advice = Level.OK, ""
        is_known = each.refused is not None and each.model not in _NAMES
        if is_known and largest is not None and each.limit * _FAR_BELOW <= largest.limit:
            level = Level.NOTE
            if roomy is not None and each.limit * _FAR_BELOW <= roomy.limit:
                advice = (
                    f"{roomy.model} may run {roomy.limit} at once: let sub-agents and background work use that one."
                )
        if not advice and each.waiting > each.most:
            level = Level.NOTE
            advice = "The plan allows less of it than is asked for: fewer agents at once, or another model for some."
        yield Finding(level, _NAMES.get(each.model, each.model), found, advice)


def _sharing(shared: SharedPlaces) -> str:
    places = "1 place" if shared.limit == 1 else f"{shared.limit} places"
    if not shared.models:
        words = f"may share {places} with {_all_of(shared.maybe)}"
    else:
        words = f"shares {places} with {_all_of(shared.models)}"
        if shared.maybe:
            words += f", perhaps also with {_all_of(shared.maybe)}"
    return f"{words} ({shared.in_flight} in use)"


def _all_of(models: Sequence[str]) -> str:
    *most, last = ("an unknown model" if each == "unknown" else each for each in models)
    return f"{', '.join(most)} and {last}" if most else last


def judge_requests(requests: Sequence[RecentRequest]) -> Finding | None:
    """How many of the last RECENT_MINUTES failed; None where there was none."""
    if not requests:
        return None
    failed = [each for each in requests if each.has_failed]
    share = len(failed) / len(requests)
    found = f"{len(failed) or 'none'} of {len(requests)} in the last {RECENT_MINUTES} minutes failed"
    if share <= _SOME_FAILED:
        return Finding(Level.OK, "requests", found)
    causes = Counter(each.cause for each in failed).most_common(_MOST_CAUSES)
    found += f" ({', '.join(f'{count} with {cause}' for cause, count in causes)})"
    is_problem = len(requests) >= _FEWEST_REQUESTS and share >= _MANY_FAILED
    return Finding(Level.PROBLEM if is_problem else Level.NOTE, "requests", found, _why_failed(failed))


def _why_failed(failed: Sequence[RecentRequest]) -> str:
    no_way_up = [each for each in failed if each.error in _NO_WAY_UP]
    if len(no_way_up) * 2 >= len(failed):
        return (
            "The proxy can't reach its upstream: look at its log, and at the ZAI_TARGET_URL that it was started with."
        )
    return "Its log has each of them; what the words mean, and what to do: docs/errors.md."


def judge_cache(cache: CacheReport) -> Iterator[Finding]:
    """What each program's prompts found in the cache within the last hour, which conversations find little now, and
    what keeps them from more."""
    for each in cache.programs:
        level = Level.NOTE if each.cold else Level.OK
        is_explained = any(each.text.startswith(f"{program}:") for program, _ in cache.causes)
        yield Finding(level, "cache", each.text, "" if not each.cold or is_explained else _why_cold(cache.has_doctor))
    for line in cache.cold:
        yield Finding(Level.WARNING, "cold now", line)
    for program, text in cache.causes:
        yield Finding(Level.NOTE, "cache", f"{program}: {text}", "More of it: docs/cache.md.")


def _why_cold(has_doctor: bool) -> str:
    if has_doctor:
        return (
            "Which part of the prompts changes, or whether one does, is not known, or not yet: docs/cache.md has how "
            "many requests it takes, and what cannot be told."
        )
    return (
        "Set CACHE_DOCTOR=on and start the proxy anew: then it says which part of the prompts changes (docs/cache.md)."
    )


def judge_error(what: str, code: str, status: int, message: str) -> Finding:
    """An error that Z.AI has answered."""
    known = classify_code(code, status)
    found = f"Z.AI answered {status}" + (f" with code {known.code} ({known.meaning})" if known.meaning else "")
    return Finding(Level.PROBLEM, what, f"{found}: {message}" if message else found, known.advice)


def judge_environment(environ: Mapping[str, str], proxy_url: str, key: str) -> Iterator[Finding]:
    """What the clients that are started in this environment would do."""
    proxy = _endpoint(proxy_url)
    for name, path in _BASE_PATHS.items():
        url, right = environ.get(name, ""), f"export {name}={proxy_url}{path}"
        if url and _endpoint(url) != proxy:
            yield Finding(
                Level.NOTE,
                name,
                "leads elsewhere: clients that are started here go past this proxy",
                f"If they should use it: {right}",
            )
        elif url and not _is_base_url(name, url):
            found = f"leads to this proxy, but to a path that it does not have: {_example(name, url)}"
            yield Finding(Level.PROBLEM, name, found, f"Set it right: {right}")
        elif url:
            yield Finding(Level.OK, name, "leads to this proxy")
    if _endpoint(environ.get("ANTHROPIC_BASE_URL", "")) == proxy and environ.get(_ATTRIBUTION) not in _OFF:
        yield Finding(
            Level.NOTE,
            _ATTRIBUTION,
            "is not 0: Claude Code begins its system prompt with a line that can keep prompts out of the cache",
            f"For Claude Code: export {_ATTRIBUTION}=0, or the same under `env` in ~/.claude/settings.json",
        )
    if not environ.get("ANTHROPIC_BASE_URL"):
        yield Finding(
            Level.NOTE,
            "ANTHROPIC_BASE_URL",
            "is not set in this environment",
            f"To point Claude Code here: export ANTHROPIC_BASE_URL={proxy_url} ANTHROPIC_AUTH_TOKEN=anything "
            f"{_ATTRIBUTION}=0",
        )
    for name in _CLIENT_KEYS:
        if holds_key(environ.get(name, ""), key):
            yield Finding(
                Level.PROBLEM,
                name,
                "holds the Z.AI key itself",
                "Set it to any other word (or a client token): the proxy puts the key in, clients need not know it.",
            )
    variable = next((name for name in _PROXIES if environ.get(name)), None)
    if variable is not None and not _spares_this_machine(environ):
        yield Finding(
            Level.NOTE,
            variable.upper(),
            "is set, and some clients send even what is for this machine to that proxy",
            "Add 127.0.0.1,localhost to NO_PROXY.",
        )


def _is_base_url(name: str, url: str) -> bool:
    """Whether what a client makes of it is a path that an API is served on here."""
    base = urlsplit(url).path.rstrip("/")
    paths = (f"{base}{added}" for added in _ADDED[name])
    return any(classify_path(path, speaks_anthropic=False).llm_protocol is not None for path in paths)


def _example(name: str, url: str) -> str:
    return f"{urlsplit(url).path.rstrip('/')[:_LONGEST_PATH]}{_ADDED[name][0]}"


def _spares_this_machine(environ: Mapping[str, str]) -> bool:
    hosts = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    return not _THIS_MACHINE.isdisjoint(host.strip() for host in hosts.split(","))


def _endpoint(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    try:
        return host, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return host, None
