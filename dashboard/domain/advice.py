"""What goes wrong, in a sentence, and what a person can do about it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dashboard.domain.samples import SeriesKey
from dashboard.records import snapshot
from dashboard.records.snapshot import Origin


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of trouble within some time. `codes` says how often each code or status came."""

    origin: Origin
    name: str
    count: int
    codes: Mapping[str, int]
    title: str
    advice: str

    def within(self, seconds: int) -> snapshot.Trouble:
        """The record of it. `seconds` is how long a time it is from."""
        return snapshot.Trouble(
            source=self.origin,
            class_=self.name,
            count=self.count,
            codes=dict(self.codes),
            title=self.title,
            advice=self.advice,
            seconds=seconds,
        )


REFUSED_CLIENTS: Final = "docs/clients.md#when-zai-refuses-a-client"
"""Where it is written what a client has to change."""

_KNOWN: Final[Mapping[tuple[Origin, str], tuple[str, str]]] = {
    (Origin.ZAI, "concurrency"): (
        "Too many requests at the same time",
        "The proxy holds back by itself. If it goes on, set CONCURRENCY_LIMIT_MAX.",
    ),
    (Origin.ZAI, "frequency"): (
        "Too many requests a second",
        "The proxy slows down by itself. If it goes on, let fewer agents work at once.",
    ),
    (Origin.ZAI, "overload"): (
        "Z.AI is short of capacity",
        "Nothing to do here: the proxy tries again. If it lasts, use another model for a while.",
    ),
    (Origin.ZAI, "quota"): (
        "An allowance of the plan is used up",
        "Wait for the reset shown under quota, or buy a larger plan.",
    ),
    (Origin.ZAI, "auth"): (
        "Z.AI does not accept the key",
        "Check that the proxy has a current Z.AI key, made on the host that it calls.",
    ),
    (Origin.ZAI, "account"): (
        "The account or its plan stands in the way",
        "Its owner has to act: the code says whether to renew, top up, or ask Z.AI's support.",
    ),
    (Origin.ZAI, "client"): (
        "Requests that Z.AI can't take",
        "Whoever sends them has to change them: wrong parameter, unknown model, or a prompt that is too long.",
    ),
    (Origin.ZAI, "internal"): (
        "Something failed inside Z.AI",
        "Try again. If it goes on, look at Z.AI's status page.",
    ),
    (Origin.ZAI, "identity"): (
        "Z.AI refuses one client while others pass",
        f"The alert above names it. Look at {REFUSED_CLIENTS}.",
    ),
    (Origin.ZAI, "unknown"): (
        "Errors of Z.AI without a known cause",
        "Try again. If they go on, look at Z.AI's status page.",
    ),
    (Origin.WAY, "request_creation"): (
        "No request could be sent upstream",
        "Look into the proxy's log: no healthy host, or the outer limit on workers.",
    ),
    (Origin.WAY, "upstream_connection"): (
        "Z.AI can't be reached",
        "Check this machine's network and DNS, and whether ZAI_TARGET_URL is right.",
    ),
    (Origin.WAY, "read_error"): (
        "Answers that broke off",
        "Agents usually try again. If it goes on, look for a proxy or firewall that cuts long connections.",
    ),
    (Origin.WAY, "write_error"): (
        "Clients that left before the answer was complete",
        "Often a person who pressed stop. If not: the client's own time limit may be too short.",
    ),
    (Origin.WAY, "timeout"): (
        "Requests that were silent for too long",
        "Z.AI may be stuck. STREAM_IDLE_TIMEOUT and MAX_STREAM_DURATION are the limits.",
    ),
    (Origin.PROXY, "capacity"): (
        "Every place was taken",
        "Let fewer agents work at once, or raise MAX_WORKERS to let more of them wait.",
    ),
    (Origin.PROXY, "rate"): (
        "The queue was too long",
        "Z.AI allows less than the agents ask for: let fewer of them work at once.",
    ),
    (Origin.PROXY, "quota"): (
        "Refused until a quota window resets",
        "Wait for the reset shown under quota, or buy a larger plan.",
    ),
    (Origin.PROXY, "draining"): (
        "Refused while the proxy shuts down",
        "Nothing to do if it is restarting: clients try again.",
    ),
}
_SOURCES: Final = {
    "zai_proxy_zai_errors_total": (Origin.ZAI, "class", "code"),
    "zai_proxy_upstream_errors_total": (Origin.WAY, "error_type", "error_type"),
    "zai_proxy_rate_limit_rejections_total": (Origin.PROXY, "reason", "reason"),
}


def troubles(counts: Iterable[tuple[SeriesKey, float]]) -> list[Trouble]:
    """What went wrong, most frequent first, from what the error counters grew by.

    An answer of Z.AI with an error status is left to Z.AI's own codes, which tell more.
    """
    found: dict[tuple[Origin, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, count in counts:
        if key.name not in _SOURCES or count < 1:
            continue
        origin, by, code = _SOURCES[key.name]
        name = key.label(by)
        if origin is not Origin.WAY or not name.isdecimal():
            found[origin, name][key.label(code)] += round(count)
    listed = [_trouble(origin, name, codes) for (origin, name), codes in found.items()]
    return sorted(listed, key=lambda each: (-each.count, each.name))


def _trouble(origin: Origin, name: str, codes: dict[str, int]) -> Trouble:
    plain = (
        name.replace("_", " ").capitalize() or "Errors",
        "Look at the requests table for what they have in common.",
    )
    title, advice = _KNOWN.get((origin, name), plain)
    ranked = dict(sorted(codes.items(), key=lambda pair: -pair[1]))
    return Trouble(origin, name, sum(codes.values()), ranked, title, advice)
